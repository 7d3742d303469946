/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Before a mapping of a file is registered: map what is in the page cache. In a registered mapping the kernel brings in
 * one page a fault, not its neighbours as well (ns a page, ext4, in the page cache):
 *
 *				touched by the CPU	MADV_POPULATE_READ
 *	not registered			45			54
 *	registered			990			292
 *	mapped, then registered		25			-
 *
 * So it is done once, at the registration, for 1 GiB at most: some 14 ms, of which a program that reads all of it saves
 * a quarter of a second. Faults of the same mapping meanwhile, by other engines, take part.
 */
#include "mm/region.h"
#include "abi/madvise.h"

#include <sys/mman.h>
#include <unistd.h>

#define STEP (2ULL << 20)
#define STEPS_MAX 512
#define SAMPLE 16 /* pages */
/* A step takes 30 us. So slow, it is read from somewhere: mincore(2) calls all resident where it may not tell. */
#define SLOW_NS 10000000ULL
#define ALL_NS 100000000ULL

static bool is_resident(uint64_t start, size_t pages, uint64_t page)
{
	unsigned char in_core[SAMPLE];

	if (mincore((void *)(uintptr_t)start, pages * page, in_core))
		return false;
	for (size_t i = 0; i < pages; i++)
		if (!(in_core[i] & 1))
			return false;
	return true;
}

static int populate(uint64_t start, uint64_t end)
{
	return madvise((void *)(uintptr_t)start, end - start, MADV_POPULATE_READ);
}

/* 0, or -1: of no use here. */
static int map_runs(uint64_t start, uint64_t end, uint64_t page, bool *all)
{
	const size_t n = (size_t)((end - start) / page);
	unsigned char in_core[STEP / 4096];

	*all = true;
	if (mincore((void *)(uintptr_t)start, end - start, in_core))
		return -1;
	for (size_t i = 0, run; i < n; i = run + 1) {
		for (run = i; run < n && in_core[run] & 1; run++)
			;
		*all &= run == n;
		if (run > i && populate(start + i * page, start + run * page))
			return -1;
	}
	return 0;
}

/*
 * To ask what is resident costs half as much again as to map it. Where all of the step before was, both ends of this
 * one are asked for.
 */
static int map_step(uint64_t start, uint64_t end, bool *all)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const uint64_t began = mm_now_ns();
	int err;

	if (*all && end - start >= 2 * SAMPLE * page && is_resident(start, SAMPLE, page) &&
	    is_resident(end - SAMPLE * page, SAMPLE, page))
		err = populate(start, end);
	else
		err = map_runs(start, end, page, all);
	return err || mm_now_ns() - began > SLOW_NS ? -1 : 0;
}

/* The next step of the work on this mapping, which begins with who comes first. False: there is none. */
static bool take_step(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t touched,
		      uint64_t deadline, uint64_t *start)
{
	struct resident_work *w = &mm->resident;
	const uint64_t steps = (vma->end - vma->start + STEP - 1) / STEP;
	bool taken = false;

	if (mm_lock_until(&mm->region_lock, deadline))
		return false;
	if (w->start != vma->start || w->end != vma->end)
		*w = (struct resident_work){ vma->start, vma->end, touched,
					     steps < STEPS_MAX ? steps : STEPS_MAX };
	if (w->steps) {
		*start = vma->start + (w->at - vma->start) / STEP * STEP;
		w->at = *start + STEP < vma->end ? *start + STEP : vma->start;
		w->steps--;
		taken = true;
	}
	pthread_mutex_unlock(&mm->region_lock);
	return taken;
}

static void give_up(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t deadline)
{
	if (mm_lock_until(&mm->region_lock, deadline))
		return;
	if (mm->resident.start == vma->start && mm->resident.end == vma->end)
		mm->resident.steps = 0;
	pthread_mutex_unlock(&mm->region_lock);
}

void map_resident(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t touched, uint64_t deadline)
{
	const uint64_t began = mm_now_ns();
	bool all = false;
	uint64_t at;

	while (take_step(mm, vma, touched, deadline, &at)) {
		const uint64_t end = at + STEP < vma->end ? at + STEP : vma->end;

		if (map_step(at, end, &all) || mm_now_ns() - began > ALL_NS ||
		    mm_deadline_passed(deadline)) {
			give_up(mm, vma, deadline);
			return;
		}
	}
}
