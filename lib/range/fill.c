/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Entries are written here, by loops that compilers turn into vector code: 262,144 entries, 1 GiB
 * of pages, must take less than the quarter of a millisecond that a scan of huge pages does.
 */
#include "range/walk.h"

#if defined(__GNUC__) && !defined(__clang__)
/* gcc leaves loops of unknown length alone at -O2 */
#pragma GCC optimize("tree-vectorize", "vect-cost-model=dynamic")
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

static uint64_t kept_mask(const struct walk *w)
{
	return w->mask ? HMM_PFN_STICKY | KEPT : HMM_PFN_STICKY;
}

void fill_same(struct walk *w, uint64_t start, uint64_t end, uint64_t flags)
{
	uint64_t *restrict e = walk_entry(w, start);
	const uint64_t n = (end - start) >> HMM_PAGE_SHIFT;
	const uint64_t keep = kept_mask(w);
	const uint64_t first = flags | start >> HMM_PAGE_SHIFT;

	keep_requests(w, start, end);
	for (uint64_t i = 0; i < n; i++)
		e[i] = (e[i] & keep) | (first + i);
}

/* No page: 0, or ERROR. */
void fill_empty(struct walk *w, uint64_t start, uint64_t end, uint64_t flags)
{
	uint64_t *restrict e = walk_entry(w, start);
	const uint64_t n = (end - start) >> HMM_PAGE_SHIFT;
	const uint64_t keep = kept_mask(w);

	keep_requests(w, start, end);
	for (uint64_t i = 0; i < n; i++)
		e[i] = (e[i] & keep) | flags;
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

		e[i] = (e[i] & keep) | (first + i) | write;
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
