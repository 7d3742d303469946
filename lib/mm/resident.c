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
 * To ask what is resident costs 25 ns a page. So it is done once, at the registration, for 1 GiB at most: some 20 ms,
 * of which a program that reads all of it saves a quarter of a second.
 */
#include "mm/region.h"
#include "abi/madvise.h"

#include <sys/mman.h>
#include <unistd.h>

#define RESIDENT_MAX (1ULL << 30)
#define STEP (2ULL << 20)
/* A step of what is resident takes 40 us. mincore(2) calls all resident where it may not tell: then it reads. */
#define SLOW_STEP_NS 10000000ULL
#define ALL_STEPS_NS 100000000ULL

/* 0, or -1: of no use here. */
static int map_step(uint64_t start, uint64_t end, uint64_t page)
{
	unsigned char in_core[STEP / 4096];
	const size_t n = (size_t)((end - start) / page);

	if (mincore((void *)(uintptr_t)start, end - start, in_core))
		return -1;
	for (size_t i = 0, run; i < n; i = run + 1) {
		for (run = i; run < n && in_core[run] & 1; run++)
			;
		if (run > i && madvise((void *)(uintptr_t)(start + i * page), (run - i) * page,
				       MADV_POPULATE_READ))
			return -1;
	}
	return 0;
}

static int map_part(uint64_t start, uint64_t end, uint64_t began, uint64_t deadline)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t then = began;

	for (uint64_t at = start, to; at < end; at = to) {
		uint64_t now;

		to = end - at > STEP ? at + STEP : end;
		if (map_step(at, to, page))
			return -1;
		now = mm_now_ns();
		if (now - then > SLOW_STEP_NS || now - began > ALL_STEPS_NS ||
		    mm_deadline_passed(deadline))
			return -1;
		then = now;
	}
	return 0;
}

void map_resident(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t start, uint64_t deadline)
{
	const uint64_t began = mm_now_ns();
	uint64_t from = start & ~(STEP - 1);
	uint64_t to;

	(void)mm;
	if (from < vma->start)
		from = vma->start;
	to = vma->end - from > RESIDENT_MAX ? from + RESIDENT_MAX : vma->end;
	if (map_part(from, to, began, deadline) || to - from == RESIDENT_MAX)
		return;
	to = vma->start + RESIDENT_MAX - (to - from);
	map_part(vma->start, to < from ? to : from, began, deadline);
}
