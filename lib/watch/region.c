// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The tree of regions: what we know to be registered with us. Whole VMAs are registered, so that
 * mremap of a whole VMA keeps working (rule 8 in docs/protocol.md).
 *
 * The kernel keeps a registered range as a VMA of its own, and a process may have vm.max_map_count
 * of them. A region of whole VMAs costs one: memory that is mapped next to it later does not join
 * it. A region of chunks of a file (HMM_MM_FILE_CHUNKS) may cut a mapping at both its ends, so it
 * costs two. The budget bounds the sum of these costs.
 */
#include "watch/region.h"
#include "space/space.h"
#include "base/deadline.h"
#include "base/itree.h"
#include "base/mutation.h"
#include "base/number.h"
#include "base/pool.h"

#include <errno.h>

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
	int covered;

	if (!mm_registers(mm))
		return 1;
	covered = deadline_lock(&mm->region_lock, deadline);
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

uint64_t regions_taken(const struct hmm_mm *mm)
{
	return atomic_load(&mm->taken);
}

static int insert_region(struct hmm_mm *mm, uint64_t start, uint64_t end, uint32_t cost)
{
	struct region *r = objpool_get(&mm->regions_pool);

	if (!r)
		return -ENOMEM;
	r->node.start = start;
	r->node.end = end;
	r->cost = cost;
	count(&mm->stats.map_entries, cost);
	itree_insert(&mm->regions, &r->node);
	count(&mm->stats.regions, 1);
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
	atomic_fetch_add(&mm->taken, 1);
	while ((r = itree_first(&mm->regions, start, end))) {
		uint64_t from = r->start;
		uint64_t to = r->end;
		uint32_t cost = cost_of(r);

		delete_region(mm, r);
		/*
		 * If there is no memory for a rest it is forgotten, too: it is always right to
		 * believe that less is registered.
		 */
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
