/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Is what we know to be registered still registered, and with us? */
#include "watch/region.h"
#include "space/space.h"
#include "provider/provider.h"
#include "kernel/pagemap.h"
#include "base/deadline.h"
#include "base/itree.h"
#include "base/mutation.h"
#include "base/number.h"

#define STANDS_NS 200000ULL /* how long the lock is waited for before a use is refused */

/*
 * What the page table says of a VMA, "registered", is said of every userfaultfd's; what we know may
 * be out of date, as not every change raises an event. The kernel itself knows whose it is:
 * registered again, it is busy if somebody else's, and nothing changes if it is ours. It would
 * change if it were nobody's, so that is asked before, and the lock is held, under which all is
 * registered:
 *
 *	ours			known and registered, and registering succeeds
 *	somebody else's		registering fails
 *	nobody's		not registered
 *
 * Left: somebody else unregisters it between the question and the registration, some 0.3 us.
 */
static bool is_ours(struct hmm_mm *mm, uint64_t at, uint64_t start, uint64_t end)
{
	const int registered = pagemap_is_registered(&mm->pagemap, at);

	if (registered <= 0 || hmm_mutation(HMM_MUTATION_ANYBODYS))
		return registered; /* an error: this kernel cannot say */
	return !mm->provider.ops->watch(&mm->provider, start, end);
}

/*
 * The same for a part that is one region, and maybe several VMAs. *vma: what is there afterwards.
 */
static bool part_is_ours(struct hmm_mm *mm, uint64_t at, uint64_t start, uint64_t end,
			 struct hmm_vma *vma)
{
	const bool all = is_ours(mm, at, start, end);

	if (vma_peek(&mm->vmas, at, vma) || vma->start > at)
		return false;
	/* Of one of them another may be the owner. */
	if (!all && !is_ours(mm, at, vma->start, vma->end))
		return false;
	/*
	 * What has come there meanwhile may be memory of the library, which must not be registered.
	 */
	if (vma->start > start || vma->end < end)
		return !watch_take_back(mm, start, end, false);
	return true;
}

bool region_stands_known(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	return !mm_wp_async(mm) || region_covers(mm, start, end, clock_ns() + STANDS_NS) == 1;
}

bool region_stands(struct hmm_mm *mm, uint64_t start, uint64_t end, const struct itree_node *around,
		   struct hmm_vma *vma)
{
	const struct itree_node *r;
	bool stands = false;

	/*
	 * There most kinds cannot be registered, and are used once, as whatever can be read of them
	 * says.
	 */
	if (!mm_wp_async(mm) || !mm_registers(mm))
		return !vma_peek(&mm->vmas, start, vma);
	/* Who holds the lock for longer is the pump, and then nothing is valid. */
	if (deadline_lock(&mm->region_lock, clock_ns() + STANDS_NS))
		return false;
	r = itree_first(&mm->regions, start, start + 1);
	if (r && region_first_gap(mm, start, end) == end) {
		stands = part_is_ours(mm, start, max64(r->start, around->start),
				      min64(r->end, around->end), vma);
		/* So that the next fault registers it, or finds that it cannot. */
		if (!stands)
			region_forget(mm, start, end);
	}
	pthread_mutex_unlock(&mm->region_lock);
	return stands;
}
