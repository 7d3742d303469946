/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Before a mapping of a file is registered: map what is in the page cache. In a registered mapping
 * the kernel brings in one page a fault, not its neighbours as well (ns a page, ext4, in the page
 * cache):
 *
 *				touched by the CPU	MADV_POPULATE_READ
 *	not registered			45			54
 *	registered			990			292
 *	mapped, then registered		25			-
 *
 * So it is done once, at the registration, for 1 GiB at most: some 14 ms, of which a program that
 * reads all of it saves a quarter of a second. Faults of the same mapping meanwhile, by other
 * engines, take part.
 */
#include "watch/region.h"
#include "space/space.h"
#include "kernel/abi/madvise.h"
#include "base/deadline.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define STEP (2ULL << 20)
#define STEPS_MAX 512
#define SAMPLE 16 /* pages */
#define ALL_NS 1000000000ULL

/* Pages that this thread has waited for a disk for. */
static long reads(void)
{
	struct rusage u;

	return getrusage(RUSAGE_THREAD, &u) ? 0 : u.ru_majflt;
}

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
 * To ask what is resident costs half as much again as to map it. Where all of the step before was,
 * both ends of this one are asked for.
 */
static int map_step(uint64_t start, uint64_t end, bool *all)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const long before = reads();
	int err;

	if (*all && end - start >= 2 * SAMPLE * page && is_resident(start, SAMPLE, page) &&
	    is_resident(end - SAMPLE * page, SAMPLE, page))
		err = populate(start, end);
	else
		err = map_runs(start, end, page, all);
	/* mincore(2) calls all resident where it may not tell. */
	return err || reads() != before ? -1 : 0;
}

static bool is_of(const struct resident_work *w, const struct hmm_vma *vma)
{
	return w->start == vma->start && w->end == vma->end;
}

static void begin(struct resident_work *w, const struct hmm_vma *vma, uint64_t touched)
{
	const uint64_t steps = (vma->end - vma->start + STEP - 1) / STEP;

	*w = (struct resident_work){ vma->start, vma->end, touched,
				     steps < STEPS_MAX ? steps : STEPS_MAX };
}

/*
 * The work that faults of this mapping share; while they share another's, one of this fault's own.
 */
static struct resident_work *choose(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t touched,
				    struct resident_work *own)
{
	struct resident_work *w = &mm->resident;

	if (is_of(w, vma))
		return w;
	if (w->steps)
		w = own;
	begin(w, vma, touched);
	return w;
}

/* False: there is none left, or somebody else's work began. */
static bool take_step(struct resident_work *w, const struct hmm_vma *vma, uint64_t *start)
{
	if (!is_of(w, vma) || !w->steps)
		return false;
	*start = vma->start + (w->at - vma->start) / STEP * STEP;
	w->at = *start + STEP < vma->end ? *start + STEP : vma->start;
	w->steps--;
	return true;
}

void map_resident(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t touched, uint64_t deadline)
{
	const uint64_t began = clock_ns();
	struct resident_work *w = NULL;
	struct resident_work own;
	bool go_on = true;
	bool all = false;

	while (go_on && !deadline_lock(&mm->region_lock, deadline)) {
		uint64_t at;

		if (!w)
			w = choose(mm, vma, touched, &own);
		go_on = take_step(w, vma, &at);
		pthread_mutex_unlock(&mm->region_lock);
		if (go_on)
			go_on = !map_step(at, at + STEP < vma->end ? at + STEP : vma->end, &all) &&
				clock_ns() - began < ALL_NS && !deadline_passed(deadline);
	}
}

void map_resident_done(struct hmm_mm *mm, const struct hmm_vma *vma)
{
	if (is_of(&mm->resident, vma))
		mm->resident = (struct resident_work){ 0 };
}
