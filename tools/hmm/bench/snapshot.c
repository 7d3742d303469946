// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A snapshot of 1 GiB by hmm_range_fault(), against the kernel reads that it cannot do without. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../attach.h"
#include "bench.h"
#include "raw.h"

#define SIZE (1024 * RAW_MIB)
#define PAGES (SIZE / HMM_PAGE_SIZE)

struct snapshot {
	struct hmm_interval_notifier *ni;
	char *base;
	uint64_t *pfns;
	int pagemap;
	bool words; /* whether a page is writable is in its pagemap word */
	size_t step;
};

static int ignore(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { sizeof(ops), ignore };

/* Untimed, before each measurement: another program's need may have taken pages of the file away.
 */
static void populate(const struct snapshot *s)
{
	if (!s->words)
		madvise(s->base, SIZE, 22 /* MADV_POPULATE_READ */);
}

static double ours(void *arg)
{
	struct snapshot *s = arg;
	struct hmm_range range = { .size = sizeof(range),
				   .flags = HMM_RANGE_LOOK,
				   .notifier = s->ni,
				   .start = (uintptr_t)s->base,
				   .end = (uintptr_t)s->base + SIZE,
				   .hmm_pfns = s->pfns };
	double begin, end;

	/* Requests of the last round are answers of this one: start from nothing asked. */
	memset(s->pfns, 0, PAGES * sizeof(*s->pfns));
	populate(s);
	begin = bench_cpu_ns();
	if (hmm_range_fault(&range, HMM_FOREVER))
		return NAN;
	end = bench_cpu_ns();
	for (size_t i = 0; i < PAGES; i++)
		if (!(s->pfns[i] & HMM_PFN_VALID))
			return NAN;
	return (end - begin) / PAGES;
}

static double theirs(void *arg)
{
	struct snapshot *s = arg;
	double begin;

	populate(s);
	begin = bench_cpu_ns();
	if (raw_snapshot(s->pagemap, s->base, SIZE, s->words, s->step))
		return NAN;
	return (bench_cpu_ns() - begin) / PAGES;
}

static int measure(struct bench *b, struct hmm_mm *mm, struct snapshot *s, const char *kind,
		   bool has_pages, double slack)
{
	struct bench_row row = { .unit = "ns/page", .target = 1.2, .slack = slack };
	int ret;

	snprintf(row.name, sizeof(row.name), "snapshot-%s-1GiB", kind);
	snprintf(row.note, sizeof(row.note), s->words ? "scan and pagemap words" : "scan");
	if (!has_pages) {
		bench_add_without_huge(b, &row);
		return 0;
	}
	ret = hmm_interval_notifier_insert(mm, (uintptr_t)s->base, SIZE, &ops, NULL, &s->ni);
	if (ret)
		return ret;
	ret = bench_interleave(b, ours, theirs, s, &row);
	hmm_interval_notifier_remove(s->ni);
	if (!ret)
		bench_add(b, &row);
	return ret;
}

static int anonymous(struct bench *b, struct hmm_mm *mm, struct snapshot *s, bool huge)
{
	int ret;

	s->base = raw_map(SIZE, huge);
	if (!s->base)
		return -ENOMEM;
	s->words = true;
	s->step = huge ? 2 * RAW_MIB : HMM_PAGE_SIZE;
	ret = measure(b, mm, s, huge ? "thp" : "4k", raw_fill(s->base, SIZE, huge), huge ? 1 : 0);
	munmap(s->base, SIZE);
	return ret;
}

static int shared(struct bench *b, struct hmm_mm *mm, struct snapshot *s, const char *kind)
{
	int fd = !strcmp(kind, "file") ? raw_file(SIZE) : memfd_create("bench", MFD_CLOEXEC), ret;

	if (fd < 0)
		return fd;
	if (strcmp(kind, "file") && ftruncate(fd, SIZE)) {
		close(fd);
		return -errno;
	}
	s->base = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (s->base == MAP_FAILED)
		return -ENOMEM;
	madvise(s->base, SIZE, MADV_NOHUGEPAGE);
	s->words = false;
	ret = measure(b, mm, s, kind, true, 0);
	munmap(s->base, SIZE);
	return ret;
}

int bench_snapshot(struct bench *b)
{
	struct snapshot s = { .pagemap = raw_pagemap_open() };
	struct hmm_mm *mm = NULL;
	int ret = s.pagemap < 0 ? s.pagemap : space_attach(&mm);

	s.pfns = mmap(NULL, PAGES * sizeof(*s.pfns), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!ret && s.pfns == MAP_FAILED)
		ret = -ENOMEM;
	if (!ret)
		ret = anonymous(b, mm, &s, false);
	if (!ret)
		ret = anonymous(b, mm, &s, true);
	if (!ret)
		ret = shared(b, mm, &s, "shmem");
	if (!ret)
		ret = shared(b, mm, &s, "file");
	hmm_mm_detach(mm);
	if (s.pfns != MAP_FAILED)
		munmap(s.pfns, PAGES * sizeof(*s.pfns));
	if (s.pagemap >= 0)
		close(s.pagemap);
	return ret;
}
