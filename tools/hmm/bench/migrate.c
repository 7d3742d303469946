// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Pages to device memory and home, touches of the CPU, exclusive access: each beside the calls of
 * the kernel that it cannot do without.
 */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "migrate.h"
#include "raw.h"

#define BYTES (256 * RAW_MIB)
#define FEW (2 * RAW_MIB)
#define PAGE 4096UL
#define ROW (16 * PAGE)
#define SAMPLES 1000 /* a round */

/* ---- out and home --------------------------------------------------------------------------- */

/* GB/s, of what has moved there and back. */
static double rate(const struct moves *m, double begin)
{
	return 2 * (double)m->bytes / (bench_now_ns() - begin);
}

static double ours(void *arg)
{
	struct moves *m = arg;
	struct hmm_migrate_result r = { .size = sizeof(r) };
	const uint64_t start = (uintptr_t)m->ours;
	const double begin = bench_now_ns();

	if (hmm_migrate_to_device(m->devmem, start, start + m->bytes, HMM_FOREVER, &r) ||
	    r.moved != m->bytes / HMM_PAGE_SIZE ||
	    hmm_migrate_to_system(m->mm, start, start + m->bytes, HMM_FOREVER))
		return NAN;
	return rate(m, begin);
}

static double moved(void *arg)
{
	struct moves *m = arg;
	const double begin = bench_now_ns();

	if (!raw_move(m->uffd, m->frames, m->theirs, m->bytes) ||
	    !raw_move(m->uffd, m->theirs, m->frames, m->bytes))
		return NAN;
	return rate(m, begin);
}

/* What was there is discarded first, which does not count. */
static double copied(void *arg)
{
	struct moves *m = arg;
	double begin;

	madvise(m->frames, m->bytes, MADV_DONTNEED);
	begin = bench_now_ns();
	if (!raw_copy(m->uffd, m->frames, m->theirs, m->bytes))
		return NAN;
	return rate(m, begin) / 2;
}

/* m: NULL, without huge pages there is nothing to compare. */
static int compare(struct bench *b, struct moves *m, const char *name, bench_side theirs,
		   double target, const char *note)
{
	struct bench_row row = { .unit = "GB/s", .target = target, .sense = BENCH_HIGHER };
	int ret;

	if (!bench_wants(b, name))
		return 0;
	snprintf(row.name, sizeof(row.name), "%s", name);
	snprintf(row.note, sizeof(row.note), "%s", note);
	if (!m) {
		bench_add_without_huge(b, &row);
		return 0;
	}
	ret = bench_interleave(b, ours, theirs, m, &row);
	if (!ret)
		bench_add(b, &row);
	return ret;
}

static int large(struct bench *b, bool huge)
{
	struct moves m;
	int ret = moves_open(&m, BYTES, huge);

	const bool has_pages = ret != -ENODATA;

	if (!has_pages)
		ret = 0;
	if (!ret && huge)
		ret = compare(b, has_pages ? &m : NULL, "migrate-thp", moved, 0.5,
			      "256 MiB there and back; UFFDIO_MOVE");
	else if (!ret)
		ret = compare(b, &m, "migrate-4k", moved, 0.667,
			      "256 MiB there and back; UFFDIO_MOVE");
	if (!ret && !huge)
		ret = compare(b, &m, "migrate-4k-copy", copied, 4, "the same; UFFDIO_COPY");
	moves_close(&m);
	return ret;
}

/* ---- one page ------------------------------------------------------------------------------- */

struct samples {
	struct moves moves;
	struct raw_answerer answerer;
	double *mine;
	double *base;
	size_t n;
	size_t bytes; /* that are taken exclusively */
};

typedef int (*sample_one)(struct samples *s);

static double touch(const char *p)
{
	const double begin = bench_now_ns();

	(void)*(const volatile char *)p;
	return (bench_now_ns() - begin) / 1000;
}

static int touch_ours(struct samples *s)
{
	struct moves *m = &s->moves;
	char *p = m->ours + s->n % (m->bytes / PAGE) * PAGE;
	const uint64_t start = (uintptr_t)p;
	int ret = hmm_migrate_to_device(m->devmem, start, start + PAGE, HMM_FOREVER, NULL);

	s->mine[s->n] = touch(p);
	return ret;
}

static int touch_theirs(struct samples *s)
{
	struct moves *m = &s->moves;
	const size_t at = s->n % (m->bytes / PAGE) * PAGE;

	if (!raw_move(m->uffd, m->frames + at, m->theirs + at, PAGE))
		return -EIO;
	s->base[s->n] = touch(m->theirs + at);
	return 0;
}

static int take_ours(struct samples *s)
{
	struct moves *m = &s->moves;
	const uint64_t start = (uintptr_t)m->ours;
	const double begin = bench_now_ns();
	struct hmm_exclusive *ex;
	int ret = hmm_exclusive_begin(m->mm, start, start + s->bytes, m, HMM_FOREVER, &ex);

	if (!ret)
		ret = hmm_exclusive_check(ex, start, NULL);
	if (!ret)
		hmm_exclusive_end(ex);
	s->mine[s->n] = (bench_now_ns() - begin) / 1000;
	return ret;
}

static int take_theirs(struct samples *s)
{
	struct moves *m = &s->moves;
	const double begin = bench_now_ns();

	if (!raw_move(m->uffd, m->frames, m->theirs, s->bytes) ||
	    !raw_move(m->uffd, m->theirs, m->frames, s->bytes))
		return -EIO;
	s->base[s->n] = (bench_now_ns() - begin) / 1000;
	return 0;
}

static int sample(struct bench *b, struct samples *s, sample_one mine, sample_one base)
{
	int ret = 0;

	s->n = 0;
	for (unsigned int round = 0; round < b->rounds && !ret; round++) {
		const size_t first = s->n;

		for (size_t i = 0; i < SAMPLES && !ret; i++, s->n++)
			ret = mine(s);
		s->n = first;
		for (size_t i = 0; i < SAMPLES && !ret; i++, s->n++)
			ret = base(s);
	}
	return ret;
}

static void add(struct bench *b, struct samples *s, const char *name, double percent, double target,
		const char *note)
{
	struct bench_row row = { .unit = "us", .target = target };

	snprintf(row.name, sizeof(row.name), "%s", name);
	snprintf(row.note, sizeof(row.note), "%zu each; %s", s->n, note);
	row.value = bench_percentile(s->mine, s->n, percent);
	row.baseline = bench_percentile(s->base, s->n, percent);
	bench_add(b, &row);
}

static int with_answerer(struct bench *b, struct samples *s)
{
	pthread_t thread;
	int ret;

	s->answerer.moves = &s->moves;
	ret = -pthread_create(&thread, NULL, raw_answer, &s->answerer);
	if (ret)
		return ret;
	ret = sample(b, s, touch_ours, touch_theirs);
	s->answerer.stop = true;
	pthread_join(thread, NULL);
	if (!ret) {
		add(b, s, "migrate-touch-p50", 50, 1.3, "one CPU; a bare loop that moves the page");
		add(b, s, "migrate-touch-p99", 99, 2, "one CPU; a bare loop that moves the page");
	}
	return ret;
}

static int exclusive(struct bench *b, struct samples *s, size_t bytes, const char *name,
		     const char *note)
{
	int ret;

	s->bytes = bytes;
	ret = bench_wants(b, name) ? sample(b, s, take_ours, take_theirs) : 0;
	if (!ret && bench_wants(b, name))
		add(b, s, name, 50, 1.5, note);
	return ret;
}

struct for_device {
	struct bench *b;
	struct samples *s;
	int ret;
};

static void *exclusive_for_device(void *arg)
{
	struct for_device *f = arg;

	hmm_thread_block_signals();
	f->ret = exclusive(f->b, f->s, PAGE, "migrate-exclusive-device",
			   "a page, by a thread whose signals are blocked");
	return NULL;
}

static int all_exclusive(struct bench *b, struct samples *s)
{
	struct for_device f = { b, s, 0 };
	pthread_t thread;
	int ret = exclusive(b, s, PAGE, "migrate-exclusive",
			    "a page taken and given back; two UFFDIO_MOVE");

	if (!ret)
		ret = exclusive(b, s, ROW, "migrate-exclusive-64k", "the same with 64 KiB");
	if (!ret)
		ret = -pthread_create(&thread, NULL, exclusive_for_device, &f);
	if (ret)
		return ret;
	pthread_join(thread, NULL);
	return f.ret;
}

static int small(struct bench *b)
{
	const size_t n = (size_t)b->rounds * SAMPLES;
	struct samples s = { .mine = calloc(n, sizeof(double)), .base = calloc(n, sizeof(double)) };
	int ret = s.mine && s.base ? moves_open(&s.moves, FEW, false) : -ENOMEM;

	if (!ret && bench_wants(b, "migrate-touch"))
		ret = with_answerer(b, &s);
	if (!ret && bench_wants(b, "migrate-exclusive"))
		ret = all_exclusive(b, &s);
	moves_close(&s.moves);
	free(s.mine);
	free(s.base);
	return ret;
}

/* On one CPU, as bench_munmap() says why. */
static int small_on_one(struct bench *b)
{
	cpu_set_t all, one;
	int ret;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	if (sched_getaffinity(0, sizeof(all), &all) || sched_setaffinity(0, sizeof(one), &one))
		return -errno;
	ret = small(b);
	sched_setaffinity(0, sizeof(all), &all);
	return ret;
}

int bench_migrate(struct bench *b)
{
	int ret = 0;

	if (bench_wants(b, "migrate-4k"))
		ret = large(b, false);
	if (!ret && bench_wants(b, "migrate-thp"))
		ret = large(b, true);
	if (!ret && bench_wants(b, "migrate-copies-thp"))
		ret = bench_migrate_copies(b, "migrate-copies-thp", true, 0);
	if (!ret && bench_wants(b, "migrate-copies-4k"))
		ret = bench_migrate_copies(b, "migrate-copies-4k", false, 0);
	if (!ret && bench_wants(b, "migrate-copies-backed"))
		ret = bench_migrate_copies(b, "migrate-copies-backed", false, HMM_DEVMEM_BACKED);
	if (!ret && (bench_wants(b, "migrate-touch") || bench_wants(b, "migrate-exclusive")))
		ret = small_on_one(b);
	if (!ret && bench_wants(b, "migrate-stream"))
		ret = bench_migrate_stream(b);
	if (!ret && bench_wants(b, "migrate-memory"))
		ret = bench_migrate_memory(b);
	return ret;
}
