// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Writes entries, 32 or 64 at a time: to write 65,536 of them, for 256 MiB of pages, costs as much
 * as the scan that finds these in huge pages. Vector code is no faster with the instructions that
 * every x86-64 has (0.21 ns an entry either way, stores alone 0.17) and slower in an emulator (0.93
 * against 0.67 ns; stores alone 0.63).
 */
#include "range/walk.h"
#include "base/epoch.h"

#define AT_ONCE 32
/*
 * An emulator chains the blocks of a loop only within one page of code, so the function lies in
 * one: 0.67 instead of 0.72 ns an entry.
 */
#define WITHIN_A_PAGE __attribute__((noinline, aligned(2048)))
#if defined(__clang__)
#define ALL_AT_ONCE _Pragma("clang loop vectorize(disable) unroll(full)")
#else
#define ALL_AT_ONCE _Pragma("GCC unroll 64")
#pragma GCC optimize("no-tree-vectorize", "no-tree-slp-vectorize",                                 \
		     "no-tree-loop-distribute-patterns")
#endif

/*
 * Brings entries at or above w->written into the form of those below: moves their requests to the
 * bits that keep them.
 */
static void keep_requests(struct walk *w, uint64_t start, uint64_t end)
{
	const uint64_t from = start > w->written ? start : w->written;

	if (from >= end)
		return;
	if (w->mask) {
		uint64_t *e = walk_entry(w, from);
		const uint64_t n = (end - from) >> HMM_PAGE_SHIFT;
		const uint64_t mask = w->mask;

		for (uint64_t i = 0; i < n; i++)
			e[i] = (e[i] & HMM_PFN_STICKY) | (e[i] & mask) >> KEPT_SHIFT;
	}
	w->written = end;
}

/* The bits of an entry that are kept when it is written; 0: the entry need not even be read. */
static uint64_t kept_mask(const struct walk *w)
{
	if (w->range->flags & HMM_RANGE_FRESH)
		return 0;
	return w->mask ? HMM_PFN_STICKY | KEPT : HMM_PFN_STICKY;
}

static inline __attribute__((always_inline)) void
put_some(uint64_t *e, unsigned int n, uint64_t keep, uint64_t first, uint64_t step)
{
	if (!keep) {
		ALL_AT_ONCE
		for (unsigned int i = 0; i < n; i++)
			e[i] = first + i * step;
	} else {
		ALL_AT_ONCE
		for (unsigned int i = 0; i < n; i++)
			e[i] = (e[i] & keep) | (first + i * step);
	}
}

static inline __attribute__((always_inline)) void put(uint64_t *e, uint64_t n, unsigned int at_once,
						      uint64_t keep, uint64_t first, uint64_t step)
{
	for (; n >= at_once; n -= at_once, e += at_once, first += at_once * step) {
		/*
		 * keeps the compiler at two running values, instead of one for each entry of the
		 * block
		 */
		__asm__("" : "+r"(e), "+r"(first));
		put_some(e, at_once, keep, first, step);
	}
	for (; n; n--, e++, first += step)
		put_some(e, 1, keep, first, step);
}

/* Entries for consecutive pages, of which no bits are kept. */
static WITHIN_A_PAGE void put_fresh(uint64_t *e, uint64_t n, uint64_t first)
{
	put(e, n, 2 * AT_ONCE, 0, first, 1);
}

void fill_same(struct walk *w, uint64_t start, uint64_t end, uint64_t flags)
{
	const uint64_t n = (end - start) >> HMM_PAGE_SHIFT;
	const uint64_t first = flags | start >> HMM_PAGE_SHIFT;

	keep_requests(w, start, end);
	if (w->range->flags & HMM_RANGE_FRESH)
		put_fresh(walk_entry(w, start), n, first);
	else
		put(walk_entry(w, start), n, AT_ONCE, kept_mask(w), first, 1);
}

void fill_elsewhere(struct walk *w, uint64_t start, uint64_t end, uint64_t flags, uint64_t addr)
{
	keep_requests(w, start, end);
	put(walk_entry(w, start), (end - start) >> HMM_PAGE_SHIFT, AT_ONCE, kept_mask(w),
	    flags | addr >> HMM_PAGE_SHIFT, 1);
}

/* Entries without a page: flags is 0 or ERROR. */
void fill_empty(struct walk *w, uint64_t start, uint64_t end, uint64_t flags)
{
	keep_requests(w, start, end);
	put(walk_entry(w, start), (end - start) >> HMM_PAGE_SHIFT, AT_ONCE, kept_mask(w), flags, 0);
}

/*
 * Adds WRITE to entries whose page's word, masked, has these bits. There is a word for each page of
 * the machine's size.
 */
void fill_by_words(struct walk *w, uint64_t start, uint64_t end, uint64_t flags,
		   const uint64_t *restrict words, uint64_t mask, uint64_t bits)
{
	uint64_t *restrict e = walk_entry(w, start);
	const uint64_t n = (end - start) >> HMM_PAGE_SHIFT;
	const unsigned int shift = (unsigned int)__builtin_ctzll(w->page_size / HMM_PAGE_SIZE);
	const uint64_t keep = kept_mask(w);
	const uint64_t first = flags | start >> HMM_PAGE_SHIFT;

	keep_requests(w, start, end);
	for (uint64_t i = 0; i < n; i++) {
		const uint64_t write = (words[i >> shift] & mask) == bits ? HMM_PFN_WRITE : 0;
		const uint64_t kept = keep ? e[i] & keep : 0;

		e[i] = kept | (first + i) | write;
	}
}

bool fill_all_have(const struct walk *w, uint64_t start, uint64_t end, uint64_t flags)
{
	const uint64_t *e = walk_entry(w, start);
	const uint64_t n = (end - start) >> HMM_PAGE_SHIFT;
	uint64_t all = ~0ULL;

	for (uint64_t i = 0; i < n; i++)
		all &= e[i];
	return (all & flags) == flags;
}
