/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Registered regions: what we know to be registered with us. Registering changes the program a little (rule 8): whole
 * VMAs, so that mremap of a whole VMA keeps working.
 *
 * What is registered is a VMA of its own to the kernel, of which a process may have vm.max_map_count. A region of
 * whole VMAs costs one, as what is mapped next to it later does not join it; one that holds chunks of a file
 * (HMM_MM_FILE_CHUNKS) may cut a mapping at both its ends and costs two. The sum is what the budget bounds.
 */
#include "watch/region.h"

#include <errno.h>

#define STANDS_NS 200000ULL /* how long the lock is waited for before a use is refused */

static uint64_t max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint32_t max32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static uint32_t cost_of(const struct itree_node *node)
{
	return node ? ((const struct region *)node)->cost : 0;
}

uint64_t region_first_gap(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	struct itree_node *r;

	while (start < end && (r = itree_first(&mm->regions, start, start + 1)))
		start = r->end;
	return min64(start, end);
}

int region_covers(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t deadline)
{
	int covered = deadline_lock(&mm->region_lock, deadline);

	if (covered)
		return covered;
	covered = region_first_gap(mm, start, end) == end;
	pthread_mutex_unlock(&mm->region_lock);
	return covered;
}

int region_any(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	bool any;

	if (pthread_mutex_trylock(&mm->region_lock))
		return -EBUSY;
	any = itree_first(&mm->regions, start, end);
	pthread_mutex_unlock(&mm->region_lock);
	return any;
}

static int insert_region(struct hmm_mm *mm, uint64_t start, uint64_t end, uint32_t cost)
{
	struct region *r = objpool_get(&mm->regions_pool);

	if (!r)
		return -ENOMEM;
	r->node.start = start;
	r->node.end = end;
	r->cost = cost;
	stat_add(&mm->stats.map_entries, cost);
	itree_insert(&mm->regions, &r->node);
	stat_add(&mm->stats.regions, 1);
	return 0;
}

static void delete_region(struct hmm_mm *mm, struct itree_node *node)
{
	atomic_fetch_sub_explicit(&mm->stats.map_entries, cost_of(node), memory_order_relaxed);
	itree_remove(&mm->regions, node);
	objpool_put(&mm->regions_pool, node);
	atomic_fetch_sub_explicit(&mm->stats.regions, 1, memory_order_relaxed);
}

int region_remember(struct hmm_mm *mm, uint64_t start, uint64_t end, uint32_t cost)
{
	struct itree_node *r;

	while ((r = itree_first(&mm->regions, start ? start - 1 : 0, end + 1))) {
		start = min64(start, r->start);
		end = max64(end, r->end);
		cost = max32(cost, cost_of(r));
		delete_region(mm, r);
	}
	return insert_region(mm, start, end, cost);
}

bool region_affordable(struct hmm_mm *mm, uint64_t start, uint64_t end, uint32_t cost)
{
	const uint32_t left = cost_of(start ? itree_first(&mm->regions, start - 1, start) : NULL);
	const uint32_t right = cost_of(itree_first(&mm->regions, end, end + 1));
	const uint64_t others = mm->stats.map_entries - left - right;

	return others + max32(cost, max32(left, right)) <= mm->regions_max ||
	       hmm_mutation(HMM_MUTATION_NO_BUDGET);
}

void region_forget(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	struct itree_node *r;

	if (hmm_mutation(HMM_MUTATION_KEEP_REGION))
		return;
	while ((r = itree_first(&mm->regions, start, end))) {
		uint64_t from = r->start;
		uint64_t to = r->end;
		uint32_t cost = cost_of(r);

		delete_region(mm, r);
		/* Out of memory: believing less to be registered is always right. */
		if (from < start)
			insert_region(mm, from, start, cost);
		if (to > end)
			insert_region(mm, end, to, cost);
	}
}

int region_deny(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t deadline)
{
	int err = deadline_lock(&mm->region_lock, deadline);

	if (err)
		return err;
	region_forget(mm, start, end);
	pthread_mutex_unlock(&mm->region_lock);
	return 0;
}

/* The span to register for a fault of [start, end) in a VMA. */
static int choose_range(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t *start,
			uint64_t *end)
{
	switch (vma->kind) {
	case HMM_VMA_FILE:
	case HMM_VMA_DAX:
		if (!mm->provider.wp_async)
			return -EOPNOTSUPP;
		break;
	case HMM_VMA_ANON:
	case HMM_VMA_HUGETLB:
	case HMM_VMA_SHMEM:
	case HMM_VMA_SYSV:
		if (hmm_mutation(HMM_MUTATION_PART_OF_VMA))
			return 0;
		break;
	default:
		return -EOPNOTSUPP;
	}
	if (watch_is_whole(mm, vma)) {
		*start = vma->start;
		*end = vma->end;
	} else {
		*start = max64(*start & ~(REGION_FILE_CHUNK - 1), vma->start);
		*end = min64((*end + REGION_FILE_CHUNK - 1) & ~(REGION_FILE_CHUNK - 1), vma->end);
	}
	return 0;
}

static int fill_gaps(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t start, uint64_t end,
		     uint64_t deadline)
{
	const uint64_t first = region_first_gap(mm, start, end);
	uint64_t at = first;
	int err = 0;

	while (!err && at < end) {
		struct itree_node *next = itree_first(&mm->regions, at, end);
		const uint64_t was = at;

		err = watch_gap(mm, vma, at, next ? next->start : end, deadline);
		at = region_first_gap(mm, at, end);
		if (!err && at == was)
			err = -EAGAIN; /* it was taken back at once */
	}
	if (!err && first < end && watch_is_whole(mm, vma))
		watch_neighbours(mm, vma, deadline);
	return err;
}

int region_ensure(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t start, uint64_t end,
		  uint64_t deadline)
{
	uint64_t from = start;
	uint64_t to = end;
	int err;

	if (start < vma->start || end > vma->end || start >= end)
		return -EAGAIN;
	err = choose_range(mm, vma, &from, &to);
	if (err)
		return err;
	if (vma->kind == HMM_VMA_FILE && watch_is_whole(mm, vma)) {
		err = region_covers(mm, from, to, deadline);
		if (err)
			return err < 0 ? err : 0;
		map_resident(mm, vma, start, deadline);
	}
	err = deadline_lock(&mm->region_lock, deadline);
	if (err)
		return err;
	map_resident_done(mm, vma);
	err = fill_gaps(mm, vma, from, to, deadline);
	pthread_mutex_unlock(&mm->region_lock);
	hmm_hook(HMM_POINT_REGISTERED);
	return err;
}

/*
 * What the page table says of a VMA, "registered", is said of every userfaultfd's; what we know may be out of date, as
 * not every change raises an event. The kernel itself knows whose it is: registered again, it is busy if somebody
 * else's, and nothing changes if it is ours. It would change if it were nobody's, so that is asked before, and the lock
 * is held, under which all is registered:
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

/* The same for a part that is one region, and maybe several VMAs. *vma: what is there afterwards. */
static bool part_is_ours(struct hmm_mm *mm, uint64_t at, uint64_t start, uint64_t end,
			 struct hmm_vma *vma)
{
	const bool all = is_ours(mm, at, start, end);

	if (vma_peek(&mm->vmas, at, vma) || vma->start > at)
		return false;
	/* Of one of them another may be the owner. */
	if (!all && !is_ours(mm, at, vma->start, vma->end))
		return false;
	/* What has come there meanwhile may be memory of the library, which must not be registered. */
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

	/* There most kinds cannot be registered, and are used once, as whatever can be read of them says. */
	if (!mm_wp_async(mm))
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

void regions_fini(struct hmm_mm *mm)
{
	struct itree_node *r;

	pthread_mutex_lock(&mm->region_lock);
	while ((r = itree_first(&mm->regions, 0, UINT64_MAX))) {
		unwatch(mm, r->start, r->end);
		delete_region(mm, r);
	}
	pthread_mutex_unlock(&mm->region_lock);
}
