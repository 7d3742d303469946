/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Entries are written here, 32 at a time: 65,536 of them, 256 MiB of pages, cost as much as the scan that finds them in
 * huge pages. Vector code is no faster with the instructions that every x86-64 has (0.21 ns an entry either way, stores
 * alone 0.17) and takes four times as long in an emulator (5.6 against 1.4 ns; stores alone 1.4 against 0.7).
 */
#include "range/walk.h"

#define AT_ONCE 32
#if defined(__clang__)
#define ALL_AT_ONCE _Pragma("clang loop vectorize(disable) unroll(full)")
#else
#define ALL_AT_ONCE _Pragma("GCC unroll 32")
#pragma GCC optimize("no-tree-vectorize", "no-tree-slp-vectorize",                                 \
		     "no-tree-loop-distribute-patterns")
#endif

/* Make what is at or above w->written look like what is below it. */
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

/* Bits of an entry that outlive being written; 0: it need not even be read. */
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

static inline __attribute__((always_inline)) void put(uint64_t *e, uint64_t n, uint64_t keep,
						      uint64_t first, uint64_t step)
{
	for (; n >= AT_ONCE; n -= AT_ONCE, e += AT_ONCE, first += AT_ONCE * step) {
		/* two running values, not one for each entry of the block */
		__asm__("" : "+r"(e), "+r"(first));
		put_some(e, AT_ONCE, keep, first, step);
	}
	for (; n; n--, e++, first += step)
		put_some(e, 1, keep, first, step);
}

void fill_same(struct walk *w, uint64_t start, uint64_t end, uint64_t flags)
{
	keep_requests(w, start, end);
	put(walk_entry(w, start), (end - start) >> HMM_PAGE_SHIFT, kept_mask(w),
	    flags | start >> HMM_PAGE_SHIFT, 1);
}

/* No page: 0, or ERROR. */
void fill_empty(struct walk *w, uint64_t start, uint64_t end, uint64_t flags)
{
	keep_requests(w, start, end);
	put(walk_entry(w, start), (end - start) >> HMM_PAGE_SHIFT, kept_mask(w), flags, 0);
}

/* WRITE where the page's word has these bits of a mask; one word a page of the machine's size. */
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
