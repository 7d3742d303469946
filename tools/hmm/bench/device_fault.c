// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * From a device's fault to its use of the entry, seen by the device: the kernel function looks at
 * the clock around its first access of each cold chunk. Against a bare populate and scan of such a
 * chunk of a mapping that is not mirrored, in turns and on the same thread: what else happens to
 * that meets both sides alike.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../attach.h"
#include "bench.h"
#include "raw.h"

#define CHUNK (64UL << 10)
#define CHUNKS 500 /* a round */
#define SIZE (CHUNK * CHUNKS)

struct device_fault {
	int pagemap;
	char *mirrored;
	char *plain;
	double *mine; /* where this round's go */
	double *bare;
};

static int ours(struct hmm_ctx *ctx, struct device_fault *d, size_t i)
{
	double begin = bench_now_ns();
	void *p;
	int ret =
		hmm_access(ctx, (uintptr_t)d->mirrored + i * CHUNK, 8, PROT_READ | PROT_WRITE, &p);

	d->mine[i] = (bench_now_ns() - begin) / 1000;
	return ret;
}

static int theirs(struct device_fault *d, size_t i)
{
	char *chunk = d->plain + i * CHUNK;
	double begin = bench_now_ns();
	int ret = madvise(chunk, CHUNK, 23 /* MADV_POPULATE_WRITE */) ? -errno : 0;

	if (!ret)
		ret = raw_snapshot(d->pagemap, chunk, CHUNK, true, HMM_PAGE_SIZE);
	d->bare[i] = (bench_now_ns() - begin) / 1000;
	return ret;
}

/* Touching nothing through the pointer, the item is never begun again. */
static int kernel(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct device_fault *d = arg;
	int ret = 0;

	for (size_t i = 0; i < 2 * CHUNKS && !ret; i++)
		ret = (i ^ i / 2) & 1 ? theirs(d, i / 2) : ours(ctx, d, i / 2);
	return ret ? ret : hmm_settle(ctx);
}

static int one_round(struct hmm_svm *svm, struct device_fault *d)
{
	struct hmm_job job = { .size = sizeof(job), .kernel = kernel, .arg = d, .items = 1 };
	/* Not one mapping: the library would mirror all of it. */
	char *base = raw_map(2 * SIZE + CHUNK, false);
	int ret;

	if (!base)
		return -ENOMEM;
	d->mirrored = base;
	d->plain = base + SIZE + CHUNK;
	ret = mprotect(base + SIZE, CHUNK, PROT_NONE) ? -errno : hmm_svm_run(svm, &job);
	munmap(base, 2 * SIZE + CHUNK);
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

static int sample(struct bench *b, struct hmm_svm *svm, struct device_fault *d)
{
	size_t n = (size_t)b->rounds * CHUNKS;
	double *mine = calloc(n, sizeof(*mine)), *bare = calloc(n, sizeof(*bare));
	int ret = mine && bare ? 0 : -ENOMEM;

	for (unsigned int i = 0; i < b->rounds && !ret; i++) {
		d->mine = mine + (size_t)i * CHUNKS;
		d->bare = bare + (size_t)i * CHUNKS;
		ret = one_round(svm, d);
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
	struct hmm_svm *svm = NULL;
	struct hmm_mm *mm = NULL;
	int ret = d.pagemap < 0 ? d.pagemap : space_attach(&mm);

	options.flags = HMM_SVM_NO_PREFETCH;
	options.chunk_shifts = 1 << 16 | 1 << 12;
	if (!ret)
		ret = hmm_device_open(mm, "soft", 1, &device);
	if (!ret)
		ret = hmm_svm_create(mm, device, &options, &svm);
	if (!ret)
		ret = sample(b, svm, &d);
	hmm_svm_destroy(svm);
	hmm_device_destroy(device);
	hmm_mm_detach(mm);
	if (d.pagemap >= 0)
		close(d.pagemap);
	return ret;
}
