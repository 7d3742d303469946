/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Registered regions. Registering changes the program a little (rule 8): whole VMAs of anonymous and
 * shared memory, so that mremap of a whole VMA keeps working; of files only the touched chunks, since
 * fault-around is lost there.
 *
 * What is registered is a VMA of its own to the kernel, of which a process may have vm.max_map_count. A region
 * that holds chunks of a file may cut a mapping at both its ends and costs two; one of whole VMAs costs one, as
 * what is mapped next to it later does not join it. The sum is what the budget bounds.
 */
#include "mm/core.h"

#include <errno.h>

#define FILE_CHUNK (2ULL << 20)

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

/* The first address in [start, end) that no region covers; end if none. */
static uint64_t first_gap(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	struct itree_node *r;

	while (start < end && (r = itree_first(&mm->regions, start, start + 1)))
		start = r->end;
	return min64(start, end);
}

int region_covers(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t deadline)
{
	int covered = mm_lock_until(&mm->region_lock, deadline);

	if (covered)
		return covered;
	covered = first_gap(mm, start, end) == end;
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
	struct region *r = hmm_objpool_get(&mm->regions_pool);

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
	hmm_objpool_put(&mm->regions_pool, node);
	atomic_fetch_sub_explicit(&mm->stats.regions, 1, memory_order_relaxed);
}

/* One region where it and its neighbours were; the neighbours' span is known to be registered. */
static int remember(struct hmm_mm *mm, uint64_t start, uint64_t end, uint32_t cost)
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
	int err = mm_lock_until(&mm->region_lock, deadline);

	if (err)
		return err;
	region_forget(mm, start, end);
	pthread_mutex_unlock(&mm->region_lock);
	return 0;
}

/*
 * Rule 3. By construction nobody holds a translation in a gap: what unregistered it invalidated it. The
 * question costs little, the answer "yes" is taken seriously.
 */
static int kill_first(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t deadline)
{
	struct hmm_invalidation inv = { .start = start, .end = end, .event = HMM_EVENT_CLEAR };

	int rc;

	if (hmm_mutation(HMM_MUTATION_BLIND_REGISTER))
		return 0;
	rc = notifiers_hold(mm, start, end, deadline);
	if (rc > 0)
		rc = mm_invalidate_until(mm, &inv, deadline);
	if (rc < 0)
		return rc;
	hmm_hook(HMM_WINDOW_KILLED);
	return 0;
}

/* Does one more region fit the budget? What joins a region costs no more than that does. */
static bool affordable(struct hmm_mm *mm, uint64_t start, uint64_t end, uint32_t cost)
{
	const uint32_t left = cost_of(start ? itree_first(&mm->regions, start - 1, start) : NULL);
	const uint32_t right = cost_of(itree_first(&mm->regions, end, end + 1));
	const uint64_t others = mm->stats.map_entries - left - right;

	return others + max32(cost, max32(left, right)) <= mm->regions_max ||
	       hmm_mutation(HMM_MUTATION_NO_BUDGET);
}

/*
 * The mapping was looked up before: memory of the library may have come into a hole that the program made meanwhile.
 * Registered, its unmapping would wait for the pump, and is done with locks held that the pump takes. What cannot be
 * accessed may be about to become such memory.
 *
 * And what came into a hole after the registration is not registered: a mapping of its own, as the kernel joins nothing
 * that is registered to what is not. Where a scan tells, it is found when entries are made; else here.
 */
static int look_again(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	bool whole = false;
	struct hmm_vma vma;
	int err = 0;

	for (uint64_t at = start; at < end && !vma_peek(mm_vmas(mm), at, &vma) && vma.start < end;
	     at = vma.end) {
		const uint64_t from = max64(vma.start, at);
		const uint64_t to = min64(vma.end, end);

		whole |= from == start && to == end;

		if (vma.prot && !hmm_pool_owns(vma.start))
			continue;
		mm->provider.ops->unwatch(&mm->provider, from, to);
		region_forget(mm, from, to);
		err = -EAGAIN; /* it was another mapping that was looked up */
	}
	if (!whole && !mm->pagemap.scan) {
		region_forget(mm, start, end);
		err = -EAGAIN;
	}
	return err;
}

static int watch_gap(struct hmm_mm *mm, uint64_t start, uint64_t end, uint32_t cost,
		     uint64_t deadline)
{
	int err;

	if (!affordable(mm, start, end, cost))
		return -ENOSPC;
	err = kill_first(mm, start, end, deadline);
	if (err)
		return err;
	stat_add(&mm->stats.registrations, 1);
	err = mm->provider.ops->watch(&mm->provider, start, end);
	if (err)
		return err == -ENOMEM ? -ENOSPC : err == -EBUSY ? -EOPNOTSUPP : err;
	err = remember(mm, start, end, cost);
	return err ? err : look_again(mm, start, end);
}

/* The span to register for a fault of [start, end) in a VMA. */
static int choose_span(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t *start, uint64_t *end)
{
	switch (vma->kind) {
	case HMM_VMA_ANON:
	case HMM_VMA_HUGETLB:
	case HMM_VMA_SHMEM:
	case HMM_VMA_SYSV:
		if (hmm_mutation(HMM_MUTATION_PART_OF_VMA))
			return 0;
		*start = vma->start;
		*end = vma->end;
		return 0;
	case HMM_VMA_FILE:
	case HMM_VMA_DAX:
		if (!mm->provider.wp_async)
			return -EOPNOTSUPP;
		*start = max64(*start & ~(FILE_CHUNK - 1), vma->start);
		*end = min64((*end + FILE_CHUNK - 1) & ~(FILE_CHUNK - 1), vma->end);
		if (hmm_mutation(HMM_MUTATION_WHOLE_FILE)) {
			*start = vma->start;
			*end = vma->end;
		}
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

int region_ensure(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t start, uint64_t end,
		  uint64_t deadline)
{
	const uint32_t cost = vma->kind == HMM_VMA_FILE || vma->kind == HMM_VMA_DAX ? 2 : 1;
	int err;

	if (start < vma->start || end > vma->end || start >= end)
		return -EAGAIN;
	err = choose_span(mm, vma, &start, &end);
	if (!err)
		err = mm_lock_until(&mm->region_lock, deadline);
	if (err)
		return err;
	while (!err && (start = first_gap(mm, start, end)) < end) {
		struct itree_node *next = itree_first(&mm->regions, start, end);

		err = watch_gap(mm, start, next ? next->start : end, cost, deadline);
	}
	pthread_mutex_unlock(&mm->region_lock);
	hmm_hook(HMM_WINDOW_REGISTERED);
	return err;
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
