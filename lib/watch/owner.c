// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Is a range that we believe to be registered really registered, and with us? */
#include "watch/region.h"
#include "space/space.h"
#include "provider/provider.h"
#include "kernel/pagemap.h"
#include "base/deadline.h"
#include "base/itree.h"
#include "base/mutation.h"
#include "base/number.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

#define STANDS_NS 200000ULL /* how long a use waits for the lock before it is refused */

/* With any userfaultfd. A change in flight counts as no. */
static bool is_registered(struct hmm_mm *mm, uint64_t at)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	at &= ~(page - 1);
	if (!region_needs_asking(mm))
		return pagemap_is_registered(&mm->pagemap, at) == 1;
	return mm->provider.ops->is_watched(&mm->provider, at, at + page) == 1;
}

/*
 * The kernel says that a VMA is registered, but not with which userfaultfd. Our tree of regions
 * may be out of date, as not every change raises an event. The kernel tells whose a VMA is when it
 * is registered again: that fails with EBUSY if it is somebody else's, and changes nothing if it is
 * ours. It would register a VMA that is nobody's, so is_registered() comes first, and no more is
 * registered than the VMA that it was asked about. The caller holds region_lock, and the library
 * registers nothing without that lock:
 *
 *	ours			in the tree and registered, and registering succeeds
 *	somebody else's		registering fails
 *	nobody's		not registered
 *
 * One race is left: somebody else unregisters the VMA between the question and the registration,
 * which takes some 0.5 us. *vma becomes the VMA at `at`; [start, end) bounds what is registered.
 */
static bool is_ours(struct hmm_mm *mm, uint64_t at, uint64_t start, uint64_t end,
		    struct hmm_vma *vma)
{
	if (!is_registered(mm, at) || vma_peek(&mm->vmas, at, vma) || vma->start > at)
		return false;
	return hmm_mutation(HMM_MUTATION_ANYBODYS) ||
	       !mm->provider.ops->watch(&mm->provider, max64(vma->start, start),
					min64(vma->end, end));
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

	if (!mm_registers(mm) || (region_needs_asking(mm) && hmm_mutation(HMM_MUTATION_TRUST_TREE)))
		return !vma_peek(&mm->vmas, start, vma);
	/* Only the pump holds the lock for longer, and nothing is valid while the pump works. */
	if (deadline_lock(&mm->region_lock, clock_ns() + STANDS_NS))
		return false;
	r = itree_first(&mm->regions, start, start + 1);
	if (r && region_first_gap(mm, start, end) == end) {
		stands = is_ours(mm, start, max64(r->start, around->start),
				 min64(r->end, around->end), vma);
		/*
		 * The next fault registers the range anew, or finds that it cannot. A change in
		 * flight may be all that was wrong.
		 */
		if (!stands && !(region_needs_asking(mm) && mm_event_waits(mm)))
			region_forget(mm, start, end);
	} else if (!mm_wp_async(mm)) {
		/*
		 * Without asynchronous write-protection files cannot be registered, and System V
		 * segments are used once. Their translations are TRANSIENT, and the page table says
		 * whether they still hold.
		 */
		stands = !vma_lookup_unnamed(&mm->vmas, start, vma) &&
			 (vma->kind == HMM_VMA_FILE || vma->kind == HMM_VMA_DAX ||
			  vma->kind == HMM_VMA_SYSV);
	}
	pthread_mutex_unlock(&mm->region_lock);
	return stands;
}

static int ask(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t deadline)
{
	int answer;

	while ((answer = mm->provider.ops->is_watched(&mm->provider, start, end)) == -EAGAIN) {
		const int err = mm_alive(mm);

		if (err)
			return err;
		if (deadline_passed(deadline))
			return -ETIME;
		sched_yield();
	}
	if (answer == -EBADF) {
		mm_lost(mm);
		return -ESRCH;
	}
	return answer;
}

/* The same for what may be several VMAs by now. */
static int ask_each(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t deadline)
{
	struct hmm_vma vma;
	int answer = 1;

	for (uint64_t at = start; at < end && answer == 1; at = vma.end) {
		if (vma_peek(&mm->vmas, at, &vma) || vma.start > at)
			return 0;
		answer = ask(mm, at, min64(vma.end, end), deadline);
	}
	return answer;
}

/*
 * Asks about one piece after the other, each at an instant of its own. That is enough: what is
 * registered at that instant cannot change later without an event.
 *
 * A huge page of hugetlbfs lies in one VMA as a whole, so its last small page need not be asked
 * about. A question that ends within a huge page is answered without an attempt to allocate one.
 */
int region_ask(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t start, uint64_t end,
	       uint64_t deadline)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	int answer = 1;
	uint64_t to;

	start &= ~(page - 1);
	end = (end + page - 1) & ~(page - 1);
	for (uint64_t at = start; at < end && answer == 1; at = to) {
		uint64_t until = to = min64(end, at + PROVIDER_ASK_MAX);

		if (vma->kind == HMM_VMA_HUGETLB && until - at > page)
			until -= page;
		answer = ask(mm, at, until, deadline);
		if (!answer)
			answer = ask_each(mm, at, until, deadline);
	}
	return answer;
}
