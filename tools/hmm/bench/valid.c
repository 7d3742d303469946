// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Does a translation stand now? Against the bare in-flight probe that it contains. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../attach.h"
#include "bench.h"
#include "raw.h"

#define CALLS 20000

struct valid {
	struct hmm_interval_notifier *ni;
	uint64_t seq;
	char *base;
	int uffd;
};

static int ignore(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { sizeof(ops), ignore };

static double ours(void *arg)
{
	struct valid *v = arg;
	double begin = bench_cpu_ns();
	unsigned int stood = 0;

	for (int i = 0; i < CALLS; i++)
		stood += !hmm_interval_stale(v->ni, v->seq);
	return stood == CALLS ? (bench_cpu_ns() - begin) / CALLS : NAN;
}

static double theirs(void *arg)
{
	struct valid *v = arg;
	double begin = bench_cpu_ns();
	unsigned int idle = 0;

	for (int i = 0; i < CALLS; i++)
		idle += raw_uffd_probe(v->uffd, v->base) == -EINVAL;
	return idle == CALLS ? (bench_cpu_ns() - begin) / CALLS : NAN;
}

static int measure(struct bench *b, struct hmm_mm *mm, struct valid *v, size_t size,
		   const char *name)
{
	struct bench_row row = { .unit = "ns", .target = 1.2 };
	struct hmm_range range = { .size = sizeof(range),
				   .default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE };
	uint64_t *pfns;
	int ret;

	v->base = raw_map(size < 2 * RAW_MIB ? 2 * RAW_MIB : size, false);
	pfns = mmap(NULL, size / HMM_PAGE_SIZE * sizeof(*pfns), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!v->base || pfns == MAP_FAILED)
		return -ENOMEM;
	snprintf(row.name, sizeof(row.name), "valid-%s", name);
	snprintf(row.note, sizeof(row.note), "hmm_interval_stale()");
	ret = hmm_interval_notifier_insert(mm, (uintptr_t)v->base, size, &ops, NULL, &v->ni);
	range.notifier = v->ni;
	range.start = (uintptr_t)v->base;
	range.end = range.start + size;
	range.hmm_pfns = pfns;
	if (!ret)
		ret = hmm_range_fault(&range, HMM_FOREVER);
	v->seq = range.notifier_seq;
	if (!ret)
		ret = bench_interleave(b, ours, theirs, v, &row);
	if (!ret)
		bench_add(b, &row);
	hmm_interval_notifier_remove(v->ni);
	munmap(v->base, size < 2 * RAW_MIB ? 2 * RAW_MIB : size);
	munmap(pfns, size / HMM_PAGE_SIZE * sizeof(*pfns));
	return ret;
}

int bench_valid(struct bench *b)
{
	struct valid v = { .uffd = raw_uffd() };
	struct hmm_mm *mm = NULL;
	int ret = v.uffd < 0 ? v.uffd : space_attach(&mm);

	if (!ret)
		ret = measure(b, mm, &v, HMM_PAGE_SIZE, "4KiB");
	if (!ret)
		ret = measure(b, mm, &v, 64 * RAW_MIB, "64MiB");
	hmm_mm_detach(mm);
	if (v.uffd >= 0)
		close(v.uffd);
	return ret;
}
