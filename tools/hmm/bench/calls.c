// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * System calls and sleeps of the operations that drivers are made of, beside those of the bare
 * kernel calls that they cannot do without. No clock is read: the figures are the same on a machine
 * whose system calls are dear, or that is busy.
 */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../attach.h"
#include "bench.h"
#include "count.h"
#include "migrate.h"
#include "raw.h"
#include "regcache.h"

#define CHUNK (64UL << 10)
#define PIECE (16UL << 10)
#define WARM 4 /* chunks faulted before one counts: the first registers the mapping */

static void settle_down(void)
{
	const struct timespec moment = { 0, 2000000 };

	nanosleep(&moment, NULL);
}

/*
 * ---- faults of a device
 * ----------------------------------------------------------------------------
 */

struct faults {
	struct count *count;
	struct hmm_mm *mm;
	struct hmm_device *device;
	struct hmm_svm *svm;
	char *base;
};

static int cold(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct faults *f = arg;
	int ret = 0;
	void *p;

	for (size_t i = 0; i < WARM + COUNT_OPS && !ret; i++) {
		if (i >= WARM)
			count_begin(f->count);
		ret = hmm_access(ctx, (uintptr_t)f->base + i * CHUNK, 8, PROT_READ | PROT_WRITE,
				 &p);
		if (i >= WARM)
			count_end(f->count);
	}
	count_finish(f->count);
	return ret ? ret : hmm_settle(ctx);
}

static int faults_open(struct faults *f, struct count *c)
{
	struct hmm_svm_options options = HMM_SVM_OPTIONS_INIT;
	int ret;

	*f = (struct faults){ .count = c };
	options.flags = HMM_SVM_NO_PREFETCH;
	options.chunk_shifts = 1 << 16 | 1 << 12;
	f->base = raw_map((WARM + COUNT_OPS) * CHUNK, false);
	ret = f->base ? space_attach(&f->mm) : -ENOMEM;
	if (!ret)
		ret = hmm_device_open(f->mm, "soft", 1, &f->device);
	if (!ret)
		ret = hmm_svm_create(f->mm, f->device, &options, &f->svm);
	return ret;
}

static void faults_close(struct faults *f)
{
	hmm_svm_destroy(f->svm);
	hmm_device_destroy(f->device);
	hmm_mm_detach(f->mm);
}

static int cold_fault(struct count *c)
{
	struct faults f;
	struct hmm_job job = { .size = sizeof(job), .kernel = cold, .arg = &f, .items = 1 };
	int ret = faults_open(&f, c);

	if (!ret)
		ret = hmm_svm_run(f.svm, &job);
	faults_close(&f);
	return ret;
}

static int bare_cold_fault(struct count *c)
{
	char *base = raw_map(COUNT_OPS * CHUNK, false);
	int pagemap = raw_pagemap_open(), ret = base ? 0 : -ENOMEM;

	if (pagemap < 0)
		return pagemap;
	for (size_t i = 0; i < COUNT_OPS && !ret; i++) {
		count_begin(c);
		ret = madvise(base + i * CHUNK, CHUNK, 23 /* MADV_POPULATE_WRITE */) ? -errno : 0;
		if (!ret)
			ret = raw_snapshot(pagemap, base + i * CHUNK, CHUNK, true, HMM_PAGE_SIZE);
		count_end(c);
	}
	count_finish(c);
	return ret;
}

/* Each chunk is there by the time it is asked for again. */
static int served_fault(struct count *c)
{
	struct faults f;
	int ret = faults_open(&f, c);

	for (size_t i = 0; i < 2 * COUNT_OPS && !ret; i++) {
		const uint64_t addr = (uintptr_t)f.base + i / 2 * CHUNK;

		if (i & 1)
			count_begin(c);
		ret = hmm_svm_fault(f.svm, addr, 8, PROT_READ | PROT_WRITE);
		if (i & 1)
			count_end(c);
	}
	count_finish(c);
	faults_close(&f);
	return ret;
}

static int bare_probe(struct count *c)
{
	char *base = raw_map(2 * RAW_MIB, false);
	int uffd = raw_uffd();

	if (uffd < 0 || !base)
		return uffd < 0 ? uffd : -ENOMEM;
	for (size_t i = 0; i < COUNT_OPS; i++) {
		count_begin(c);
		raw_uffd_probe(uffd, base);
		count_end(c);
	}
	count_finish(c);
	return 0;
}

/*
 * ---- a range of a driver's own
 * ------------------------------------------------------------------------
 */

static int ignore(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { sizeof(ops), ignore };

struct mirrored {
	struct hmm_mm *mm;
	struct hmm_interval_notifier *ni;
	char *base;
	uint64_t pfns[CHUNK / HMM_PAGE_SIZE];
};

static int mirrored_open(struct mirrored *m, size_t size)
{
	int ret;

	*m = (struct mirrored){ .base = raw_map(size, false) };
	ret = m->base ? space_attach(&m->mm) : -ENOMEM;
	if (!ret)
		ret = hmm_interval_notifier_insert(m->mm, (uintptr_t)m->base, size, &ops, NULL,
						   &m->ni);
	return ret;
}

static void mirrored_close(struct mirrored *m)
{
	hmm_interval_notifier_remove(m->ni);
	hmm_mm_detach(m->mm);
}

static int fault(struct mirrored *m, size_t at, size_t size, struct hmm_range *range)
{
	*range = (struct hmm_range){ .size = sizeof(*range),
				     .flags = HMM_RANGE_FRESH,
				     .notifier = m->ni,
				     .start = (uintptr_t)m->base + at,
				     .end = (uintptr_t)m->base + at + size,
				     .hmm_pfns = m->pfns,
				     .default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE };
	return hmm_range_fault(range, HMM_FOREVER);
}

static int range_fault(struct count *c)
{
	struct hmm_range range;
	struct mirrored m;
	int ret = mirrored_open(&m, (WARM + COUNT_OPS) * CHUNK);

	for (size_t i = 0; i < WARM + COUNT_OPS && !ret; i++) {
		if (i >= WARM)
			count_begin(c);
		ret = fault(&m, i * CHUNK, CHUNK, &range);
		if (i >= WARM)
			count_end(c);
	}
	count_finish(c);
	mirrored_close(&m);
	return ret;
}

static int validated_use(struct count *c)
{
	struct hmm_range range;
	struct mirrored m;
	int ret = mirrored_open(&m, 2 * RAW_MIB);

	if (!ret)
		ret = fault(&m, 0, CHUNK, &range);
	for (size_t i = 0; i < COUNT_OPS && !ret; i++) {
		count_begin(c);
		ret = !hmm_interval_stale(m.ni, range.notifier_seq) ? 0 : -EIO;
		count_end(c);
	}
	count_finish(c);
	mirrored_close(&m);
	return ret;
}

/*
 * ---- a cache of registrations
 * --------------------------------------------------------------------------
 */

static int cached_hits(struct count *c, unsigned int flags)
{
	char *base = raw_map(2 * RAW_MIB, false);
	struct cache cache = { 0 };
	int ret = base ? cache_open(&cache) : -ENOMEM;

	if (!ret)
		ret = cache_keep(&cache, base, CHUNK);
	for (size_t i = 0; i < COUNT_OPS && !ret; i++) {
		count_begin(c);
		ret = cache_use(&cache, base, CHUNK, flags);
		count_end(c);
	}
	count_finish(c);
	cache_close(&cache);
	return ret;
}

static int cached_hit(struct count *c)
{
	return cached_hits(c, HMM_REGCACHE_HIT);
}

static int ordered_hit(struct count *c)
{
	return cached_hits(c, HMM_REGCACHE_HIT | HMM_REGCACHE_ORDERED);
}

static int nothing(struct count *c)
{
	for (size_t i = 0; i < COUNT_OPS; i++) {
		count_begin(c);
		count_end(c);
	}
	count_finish(c);
	return 0;
}

/*
 * ---- the program's munmap
 * ---------------------------------------------------------------------------
 */

/*
 * One piece after the other; what is left of the mapping has been touched, too, so that it is all
 * alike.
 */
static void unmap_pieces(struct count *c, char *base)
{
	for (size_t i = 0; i < COUNT_OPS; i++) {
		count_begin(c);
		munmap(base + i * PIECE, PIECE);
		count_end(c);
		settle_down(); /* the pump comes to its rest */
	}
	count_finish(c);
}

static int pump_cycle(struct count *c)
{
	struct hmm_range range;
	struct mirrored m;
	int ret = mirrored_open(&m, (COUNT_OPS + 1) * PIECE);

	for (size_t i = 0; i <= COUNT_OPS && !ret; i++)
		ret = fault(&m, i * PIECE, PIECE, &range);
	if (!ret)
		unmap_pieces(c, m.base);
	mirrored_close(&m);
	return ret;
}

static int bare_cycle(struct count *c)
{
	char *base = raw_map((COUNT_OPS + 1) * PIECE, false);
	struct raw_reader reader = { .uffd = raw_uffd() };
	pthread_t thread;
	int ret;

	if (reader.uffd < 0 || !base)
		return reader.uffd < 0 ? reader.uffd : -ENOMEM;
	ret = raw_uffd_register(reader.uffd, base, (COUNT_OPS + 1) * PIECE);
	if (!ret)
		ret = -pthread_create(&thread, NULL, raw_uffd_reader, &reader);
	if (ret)
		return ret;
	unmap_pieces(c, base);
	reader.stop = true;
	pthread_join(thread, NULL);
	return 0;
}

/* Memory that is not mirrored, in a program that mirrors other memory. */
static int bystanders_munmap(struct count *c)
{
	char *base = raw_map((COUNT_OPS + 1) * PIECE, false);
	struct hmm_range range;
	struct mirrored m;
	int ret = base ? mirrored_open(&m, 2 * RAW_MIB) : -ENOMEM;

	if (!ret)
		ret = fault(&m, 0, CHUNK, &range);
	if (!ret)
		unmap_pieces(c, base);
	mirrored_close(&m);
	return ret;
}

static int bare_munmap(struct count *c)
{
	char *base = raw_map((COUNT_OPS + 1) * PIECE, false);

	if (!base)
		return -ENOMEM;
	unmap_pieces(c, base);
	return 0;
}

/* ---- exclusive access ---------------------------------------------------------------------- */

static int exclusive(struct count *c, size_t bytes)
{
	struct moves m;
	int ret = moves_open(&m, (WARM + COUNT_OPS) * CHUNK, false);

	for (size_t i = 0; i < WARM + COUNT_OPS && !ret; i++) {
		const uint64_t start = (uintptr_t)m.ours + i * bytes;
		struct hmm_exclusive *ex;

		/* The first one traps the mapping, the others are next to it. */
		if (i >= WARM)
			count_begin(c);
		ret = hmm_exclusive_begin(m.mm, start, start + bytes, &m, HMM_FOREVER, &ex);
		if (!ret)
			hmm_exclusive_end(ex);
		if (i >= WARM)
			count_end(c);
	}
	count_finish(c);
	moves_close(&m);
	return ret;
}

static int exclusive_page(struct count *c)
{
	return exclusive(c, HMM_PAGE_SIZE);
}

static int exclusive_row(struct count *c)
{
	return exclusive(c, CHUNK);
}

/* Each operation has a process of its own. */
static int exclusive_for_device(struct count *c)
{
	hmm_thread_block_signals();
	return exclusive_page(c);
}

static int bare_exclusive(struct count *c, size_t bytes)
{
	struct moves m;
	int ret = moves_open(&m, (WARM + COUNT_OPS) * CHUNK, false);

	for (size_t i = 0; i < COUNT_OPS && !ret; i++) {
		char *page = m.theirs + i * bytes;

		count_begin(c);
		if (!raw_move(m.uffd, m.frames, page, bytes) ||
		    !raw_move(m.uffd, page, m.frames, bytes))
			ret = -EIO;
		count_end(c);
	}
	count_finish(c);
	moves_close(&m);
	return ret;
}

static int bare_exclusive_page(struct count *c)
{
	return bare_exclusive(c, HMM_PAGE_SIZE);
}

static int bare_exclusive_row(struct count *c)
{
	return bare_exclusive(c, CHUNK);
}

/*
 * ---- figures
 * ------------------------------------------------------------------------------------------
 */

static const struct operation {
	const char *name, *note;
	int (*ours)(struct count *c);
	int (*bare)(struct count *c);
	double besides; /* calls that are the program's own */
	double calls;   /* targets */
	double sleeps;
} operations[] = {
	{ "calls-device-fault-cold", "64 KiB of a registered mapping; populate, scan, words",
	  cold_fault, bare_cold_fault, 0, 5, 0 },
	{ "calls-device-fault-served", "a fault that finds its chunk there; the probe",
	  served_fault, bare_probe, 0, 2, 0 },
	{ "calls-range-fault-cold", "hmm_range_fault() of 64 KiB; populate, scan, words",
	  range_fault, bare_cold_fault, 0, 5, 0 },
	{ "calls-valid", "hmm_interval_stale(); the probe", validated_use, bare_probe, 0, 1, 0 },
	{ "calls-regcache-hit", "hmm_regcache_get() and its put; the probe", cached_hit, bare_probe,
	  0, 1, 0 },
	{ "calls-regcache-hit-ordered", "no change can be in flight; nothing", ordered_hit, nothing,
	  0, 0, 0 },
	{ "calls-munmap-mirrored", "a pump cycle, beyond munmap itself; a bare reader", pump_cycle,
	  bare_cycle, 1, 2, 2 },
	{ "calls-munmap-bystander", "of what is not mirrored, beyond munmap itself",
	  bystanders_munmap, bare_munmap, 1, 0, 0 },
	{ "calls-exclusive", "a page taken and given back; two UFFDIO_MOVE", exclusive_page,
	  bare_exclusive_page, 0, 6, 0 },
	{ "calls-exclusive-64k", "the same with 64 KiB", exclusive_row, bare_exclusive_row, 0, 6,
	  0 },
	{ "calls-exclusive-device", "a page, by a thread whose signals are blocked",
	  exclusive_for_device, bare_exclusive_page, 0, 2, 0 },
};

static int measure(struct bench *b, const struct operation *op)
{
	struct bench_row row = { .unit = "calls",
				 .target = op->calls,
				 .absolute = true,
				 .counts = true,
				 .sleeps_target = op->sleeps };
	struct count_result ours, bare;
	int ret;

	snprintf(row.name, sizeof(row.name), "%s", op->name);
	ret = count_sleeps(op->ours, &ours);
	if (ret == -EOPNOTSUPP)
		return 0; /* the kernel moves no pages */
	if (!ret)
		ret = count_sleeps(op->bare, &bare);
	if (ret)
		return ret;
	row.sleeps = ours.median;
	row.sleeps_baseline = bare.median;
	ret = count_calls(op->ours, &ours);
	if (!ret)
		ret = count_calls(op->bare, &bare);
	if (ret && ret != -EPERM)
		return ret;
	row.value = ret ? NAN : ours.median - op->besides;
	row.baseline = ret ? NAN : bare.median - op->besides;
	if (ret)
		snprintf(row.note, sizeof(row.note), "calls: this host forbids tracing (ptrace)");
	else
		snprintf(row.note, sizeof(row.note), "%s; %.0f at most", op->note,
			 ours.most - op->besides);
	bench_add(b, &row);
	return 0;
}

int bench_calls(struct bench *b)
{
	int ret = 0;

	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]) && !ret; i++)
		ret = measure(b, &operations[i]);
	return ret;
}
