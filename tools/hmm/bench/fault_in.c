// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Cold memory faulted in by hmm_range_fault(), entries filled, against MADV_POPULATE_*. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "../attach.h"
#include "bench.h"
#include "raw.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

#define SIZE (256 * RAW_MIB)
#define PAGES (SIZE / HMM_PAGE_SIZE)

struct fault_in {
	struct hmm_mm *mm;
	uint64_t *pfns;
	bool huge;
	bool write;
};

static int ignore(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { sizeof(ops), ignore };

static double ours(void *arg)
{
	struct fault_in *f = arg;
	struct hmm_range range = { .size = sizeof(range), .hmm_pfns = f->pfns };
	char *base = raw_map(SIZE, f->huge);
	uint64_t want = HMM_PFN_VALID | (f->write ? HMM_PFN_WRITE : 0);
	double begin, result = NAN;

	if (!base)
		return NAN;
	memset(f->pfns, 0, PAGES * sizeof(*f->pfns));
	range.start = (uintptr_t)base;
	range.end = range.start + SIZE;
	range.default_flags = HMM_PFN_REQ_FAULT | (f->write ? HMM_PFN_REQ_WRITE : 0);
	if (hmm_interval_notifier_insert(f->mm, range.start, SIZE, &ops, NULL, &range.notifier))
		goto out;
	begin = bench_cpu_ns();
	if (!hmm_range_fault(&range, HMM_FOREVER))
		result = (bench_cpu_ns() - begin) / PAGES;
	for (size_t i = 0; i < PAGES; i++)
		if ((f->pfns[i] & want) != want)
			result = NAN;
	hmm_interval_notifier_remove(range.notifier);
out:
	munmap(base, SIZE);
	return result;
}

static double theirs(void *arg)
{
	struct fault_in *f = arg;
	char *base = raw_map(SIZE, f->huge);
	double begin, result = NAN;

	if (!base)
		return NAN;
	begin = bench_cpu_ns();
	if (!madvise(base, SIZE, f->write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ))
		result = (bench_cpu_ns() - begin) / PAGES;
	munmap(base, SIZE);
	return result;
}

static bool has_pages(const struct fault_in *f)
{
	char *base = f->huge ? raw_map(SIZE, true) : NULL;
	bool has;

	if (!base)
		return !f->huge;
	has = !madvise(base, SIZE, f->write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) &&
	      raw_is_huge(base, SIZE);
	munmap(base, SIZE);
	return has;
}

int bench_fault_in(struct bench *b)
{
	struct fault_in f = { 0 };
	int ret = space_attach(&f.mm);

	if (ret)
		return ret;
	f.pfns = mmap(NULL, PAGES * sizeof(*f.pfns), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (f.pfns == MAP_FAILED) {
		hmm_mm_detach(f.mm);
		return -ENOMEM;
	}
	for (int i = 0; i < 4 && !ret; i++) {
		struct bench_row row = { .unit = "ns/page", .target = 1.15, .slack = 1 };

		f.write = !(i & 1);
		f.huge = i & 2;
		snprintf(row.name, sizeof(row.name), "fault-in-%s-%s", f.write ? "write" : "read",
			 f.huge ? "thp" : "4k");
		snprintf(row.note, sizeof(row.note), "256 MiB; MADV_POPULATE_%s",
			 f.write ? "WRITE" : "READ");
		if (!has_pages(&f)) {
			bench_add_without_huge(b, &row);
			continue;
		}
		ret = bench_interleave(b, ours, theirs, &f, &row);
		if (!ret)
			bench_add(b, &row);
	}
	hmm_mm_detach(f.mm);
	munmap(f.pfns, PAGES * sizeof(*f.pfns));
	return ret;
}
