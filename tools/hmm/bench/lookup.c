// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The device page table, against an array that is indexed and tested, with the same pattern. Each
 * look-up waits for the one before, as an access waits for its translation.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "bench.h"
#include "raw.h"

#define ENTRIES (1UL << 20)
#define CACHED 512 /* pages of the pattern that stays in the caches */
#define LOOKUPS (1UL << 22)
#define BASE 0x7e0000000000ULL

struct lookup {
	struct hmm_ptable *table;
	uint64_t *array;
	uint32_t *pattern; /* page numbers */
	size_t length;     /* of the pattern, a power of two */
};

/* Nobody but us knows that it is 0: what is next depends on the entry that was loaded. */
static volatile uint64_t zero;
/* What was read goes here, so that the compiler cannot leave it out. */
static volatile uint64_t sink;

static double ours(void *arg)
{
	struct lookup *l = arg;
	double begin = bench_now_ns();
	uint64_t none = zero;
	size_t at = 0;

	for (size_t i = 0; i < LOOKUPS; i++) {
		uint64_t entry = hmm_ptable_lookup(
			l->table,
			BASE + ((uint64_t)l->pattern[at & (l->length - 1)] << HMM_PAGE_SHIFT),
			NULL);

		if (!(entry & HMM_PFN_VALID))
			return NAN;
		at += 1 + (entry & none);
	}
	sink = at;
	return (bench_now_ns() - begin) / LOOKUPS;
}

static double theirs(void *arg)
{
	struct lookup *l = arg;
	double begin = bench_now_ns();
	uint64_t none = zero;
	size_t at = 0;

	for (size_t i = 0; i < LOOKUPS; i++) {
		uint64_t entry = *(volatile uint64_t *)&l->array[l->pattern[at & (l->length - 1)]];

		if (!(entry & HMM_PFN_VALID))
			return NAN;
		at += 1 + (entry & none);
	}
	sink = at;
	return (bench_now_ns() - begin) / LOOKUPS;
}

static void shuffle(struct lookup *l, uint32_t pages)
{
	uint64_t x = 88172645463325252ULL;

	for (size_t i = 0; i < l->length; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		l->pattern[i] = (uint32_t)(x % pages);
	}
}

static int measure(struct bench *b, struct lookup *l, bool cached)
{
	struct bench_row row = { .unit = "ns", .target = cached ? 15 : 1.5, .absolute = cached };
	int ret;

	snprintf(row.name, sizeof(row.name), cached ? "lookup-cached" : "lookup-random-1M");
	snprintf(row.note, sizeof(row.note),
		 cached ? "2 MiB of address space" : "1 million 4K entries");
	l->length = cached ? 4 * CACHED : ENTRIES;
	shuffle(l, cached ? CACHED : ENTRIES);
	ret = bench_interleave(b, ours, theirs, l, &row);
	if (!ret)
		bench_add(b, &row);
	return ret;
}

int bench_lookup(struct bench *b)
{
	struct lookup l = { 0 };
	int ret = hmm_ptable_create(NULL, &l.table);

	if (ret)
		return ret;
	l.array = raw_map(ENTRIES * sizeof(*l.array), false);
	l.pattern = raw_map(ENTRIES * sizeof(*l.pattern), false);
	if (!l.array || !l.pattern)
		ret = -ENOMEM;
	for (size_t i = 0; i < ENTRIES && !ret; i++)
		l.array[i] = HMM_PFN_VALID | ((BASE >> HMM_PAGE_SHIFT) + i);
	if (!ret)
		ret = hmm_ptable_set(l.table, BASE, HMM_PAGE_SHIFT, l.array, ENTRIES);
	if (!ret)
		ret = measure(b, &l, false);
	if (!ret)
		ret = measure(b, &l, true);
	hmm_ptable_destroy(l.table);
	if (l.array)
		munmap(l.array, ENTRIES * sizeof(*l.array));
	if (l.pattern)
		munmap(l.pattern, ENTRIES * sizeof(*l.pattern));
	return ret;
}
