// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Maps the pages of a file that are in the page cache, before the file's mapping is registered. In
 * a registered mapping the kernel maps one page a fault, and not its neighbours as well (ns a page,
 * ext4, all pages in the page cache):
 *
 *				touched by the CPU	MADV_POPULATE_READ
 *	not registered			45			54
 *	registered			990			292
 *	mapped, then registered		25			-
 *
 * So they are mapped once, at the registration, 1 GiB at most. That takes some 14 ms, and saves a
 * quarter of a second in a program that reads all of it. Other threads that fault in the same
 * mapping meanwhile share the work.
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

/* How many of this thread's faults had to wait for a disk. */
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

/* Maps the runs of resident pages. 0; -1: mapping in advance is of no use here. */
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
 * To ask mincore(2) about a page costs half of what mapping it does. If all pages of the step
 * before were resident only both ends of this step are asked about.
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
	/*
	 * mincore(2) says that every page is resident if the caller may not know which are. A wait
	 * for the disk shows that it said so.
	 */
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
 * The work that all faults of this mapping share. While the shared work is another mapping's, this
 * fault has work of its own.
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

/* False: no step is left, or the shared work is another mapping's by now. */
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
