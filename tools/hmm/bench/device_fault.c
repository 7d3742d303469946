// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * From a device's fault to its use of the entry, seen by the device: the kernel function looks at
 * the clock around its first access of each cold chunk. Against a bare populate and scan of the
 * same chunk.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"
#include "raw.h"

#define CHUNK (64UL << 10)
#define CHUNKS 500 /* a round */
#define SIZE (CHUNK * CHUNKS)

struct device_fault {
	struct hmm_svm *svm;
	int pagemap;
	char *base;
	double *mine; /* where this round's go */
	double *bare;
};

static int kernel(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct device_fault *d = arg;
	void *p;
	int ret;

	/* Touching nothing through the pointer, the item is never begun again. */
	for (size_t i = 0; i < CHUNKS; i++) {
		double begin = bench_now_ns();

		ret = hmm_access(ctx, (uintptr_t)d->base + i * CHUNK, 8, PROT_READ | PROT_WRITE,
				 &p);
		if (ret)
			return ret;
		d->mine[i] = (bench_now_ns() - begin) / 1000;
	}
	return hmm_settle(ctx);
}

static int ours(struct device_fault *d)
{
	struct hmm_job job = { .size = sizeof(job), .kernel = kernel, .arg = d, .items = 1 };
	int ret;

	d->base = raw_map(SIZE, false);
	if (!d->base)
		return -ENOMEM;
	ret = hmm_svm_run(d->svm, &job);
	munmap(d->base, SIZE);
	return ret;
}

static int theirs(struct device_fault *d)
{
	int ret = 0;

	d->base = raw_map(SIZE, false);
	if (!d->base)
		return -ENOMEM;
	for (size_t i = 0; i < CHUNKS && !ret; i++) {
		char *chunk = d->base + i * CHUNK;
		double begin = bench_now_ns();

		if (madvise(chunk, CHUNK, 23 /* MADV_POPULATE_WRITE */))
			ret = -errno;
		else
			ret = raw_snapshot(d->pagemap, chunk, CHUNK, true, HMM_PAGE_SIZE);
		d->bare[i] = (bench_now_ns() - begin) / 1000;
	}
	munmap(d->base, SIZE);
	return ret;
}

static void add(struct bench *b, double *mine, double *bare, const char *name, double percent,
		double target)
{
	size_t n = (size_t)b->rounds * CHUNKS;
	struct bench_row row = { .unit = "us", .target = target };

	snprintf(row.name, sizeof(row.name), "device-fault-64KiB-%s", name);
	snprintf(row.note, sizeof(row.note), "%zu faults for write, no prefetch", n);
	row.value = bench_percentile(mine, n, percent);
	row.baseline = bench_percentile(bare, n, percent);
	bench_add(b, &row);
}

static int sample(struct bench *b, struct device_fault *d)
{
	size_t n = (size_t)b->rounds * CHUNKS;
	double *mine = calloc(n, sizeof(*mine)), *bare = calloc(n, sizeof(*bare));
	int ret = mine && bare ? 0 : -ENOMEM;

	for (unsigned int i = 0; i < b->rounds && !ret; i++) {
		d->mine = mine + (size_t)i * CHUNKS;
		d->bare = bare + (size_t)i * CHUNKS;
		ret = ours(d);
		if (!ret)
			ret = theirs(d);
	}
	if (!ret) {
		add(b, mine, bare, "p50", 50, 1.3);
		add(b, mine, bare, "p99", 99, 2);
	}
	free(mine);
	free(bare);
	return ret;
}

int bench_device_fault(struct bench *b)
{
	struct hmm_svm_options options = HMM_SVM_OPTIONS_INIT;
	struct device_fault d = { .pagemap = raw_pagemap_open() };
	struct hmm_device *device = NULL;
	struct hmm_mm *mm = NULL;
	int ret = d.pagemap < 0 ? d.pagemap : hmm_mm_attach(NULL, &mm);

	options.flags = HMM_SVM_NO_PREFETCH;
	options.chunk_shifts = 1 << 16 | 1 << 12;
	if (!ret)
		ret = hmm_device_open(mm, "soft", 1, &device);
	if (!ret)
		ret = hmm_svm_create(mm, device, &options, &d.svm);
	if (!ret)
		ret = sample(b, &d);
	hmm_svm_destroy(d.svm);
	hmm_device_destroy(device);
	hmm_mm_detach(mm);
	if (d.pagemap >= 0)
		close(d.pagemap);
	return ret;
}
