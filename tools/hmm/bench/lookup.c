// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The device page table, against an array that is indexed and tested, with the same pattern: each
 * look-up waits for the one before, as an access waits for its translation, or none waits and the
 * processor overlaps as many as it can.
 */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
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

/* One loop for the four figures; the conditions are constants where it is called. */
static inline __attribute__((always_inline)) double look_all(const struct lookup *l, bool table,
							     bool overlap)
{
	double begin = bench_cpu_ns();
	uint64_t none = zero;
	uint64_t sum = 0;
	size_t at = 0;

	for (size_t i = 0; i < LOOKUPS; i++) {
		uint64_t p = l->pattern[at & (l->length - 1)];
		uint64_t entry =
			table ? hmm_ptable_lookup(l->table, BASE + (p << HMM_PAGE_SHIFT), NULL)
			      : *(volatile uint64_t *)&l->array[p];

		if (!(entry & HMM_PFN_VALID))
			return NAN;
		sum += entry;
		at += overlap ? 1 : 1 + (entry & none);
	}
	sink = sum;
	return (bench_cpu_ns() - begin) / LOOKUPS;
}

static double ours(void *arg)
{
	return look_all(arg, true, false);
}

static double theirs(void *arg)
{
	return look_all(arg, false, false);
}

static double ours_overlap(void *arg)
{
	return look_all(arg, true, true);
}

static double theirs_overlap(void *arg)
{
	return look_all(arg, false, true);
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

struct figure {
	const char *name, *note;
	uint32_t pages;
	bool overlap, absolute;
	double target;
};

static const struct figure figures[] = {
	{ "lookup-random-1M", "1 million 4K entries", ENTRIES, false, false, 1.5 },
	{ "lookup-random-1M-overlap", "the same, none waits for another", ENTRIES, true, false, 2 },
	{ "lookup-cached", "2 MiB of address space", CACHED, false, true, 15 },
};

static int measure(struct bench *b, struct lookup *l, const struct figure *f)
{
	struct bench_row row = { .unit = "ns", .target = f->target, .absolute = f->absolute };
	int ret;

	snprintf(row.name, sizeof(row.name), "%s", f->name);
	snprintf(row.note, sizeof(row.note), "%s", f->note);
	l->length = f->pages == CACHED ? 4 * CACHED : ENTRIES;
	shuffle(l, f->pages);
	ret = bench_interleave(b, f->overlap ? ours_overlap : ours,
			       f->overlap ? theirs_overlap : theirs, l, &row);
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
	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]) && !ret; i++)
		ret = measure(b, &l, &figures[i]);
	hmm_ptable_destroy(l.table);
	if (l.array)
		munmap(l.array, ENTRIES * sizeof(*l.array));
	if (l.pattern)
		munmap(l.pattern, ENTRIES * sizeof(*l.pattern));
	return ret;
}
