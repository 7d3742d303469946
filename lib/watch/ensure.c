// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Registers what a fault needs, and unregisters everything when the space is detached. */
#include "watch/region.h"
#include "space/space.h"
#include "provider/provider.h"
#include "base/deadline.h"
#include "base/hooks.h"
#include "base/itree.h"
#include "base/mutation.h"
#include "base/number.h"

#include <errno.h>

/*
 * Widens the range of a fault to what is registered for it. -EOPNOTSUPP: memory of this kind cannot
 * be registered.
 */
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
			err = -EAGAIN; /* watch_gap() registered it and took that back */
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
	if (!mm_registers(mm))
		return vma->kind == HMM_VMA_SPECIAL ? -EOPNOTSUPP : 0;
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

void regions_fini(struct hmm_mm *mm)
{
	struct itree_node *r;

	pthread_mutex_lock(&mm->region_lock);
	while ((r = itree_first(&mm->regions, 0, UINT64_MAX))) {
		unwatch(mm, r->start, r->end);
		itree_remove(&mm->regions, r); /* the pool frees its memory */
	}
	pthread_mutex_unlock(&mm->region_lock);
}
