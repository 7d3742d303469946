// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * What it costs to have a fixed buffer: kept by the cache, or registered and unregistered for each
 * operation. Both sides take turns, medians of the rounds are shown.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "copy.h"

#define ROUNDS 31
#define SLICE 0.002 /* seconds a side a round */

struct bed {
	struct hmm_mm *mm;
	struct io_uring ring[2]; /* the cache's; the other's */
	struct uring_cache *cache;
	char *buf;
	size_t len;
	int slot;                   /* held all the time */
	int (*hold)(struct bed *b); /* the cache's side */
};

static int hold_by_cache(struct bed *b)
{
	int slot = uring_cache_get(b->cache, b->buf, b->len);

	if (slot >= 0)
		uring_cache_put(b->cache, slot);
	return slot < 0 ? slot : 0;
}

/* It is held, and asked about before each use. */
static int hold_on(struct bed *b)
{
	return uring_cache_check(b->cache, b->slot);
}

/* What a miss costs. */
static int hold_by_miss(struct bed *b)
{
	int ret = hold_by_cache(b);

	uring_cache_flush(b->cache);
	return ret;
}

static int hold_by_registration(struct bed *b)
{
	struct iovec iov = { b->buf, b->len };
	__u64 tag = 0;
	int ret = io_uring_register_buffers_update_tag(&b->ring[1], 0, &iov, &tag, 1);

	iov = (struct iovec){ NULL, 0 };
	if (ret >= 0)
		ret = io_uring_register_buffers_update_tag(&b->ring[1], 0, &iov, &tag, 1);
	return ret < 0 ? ret : 0;
}

/* Nanoseconds each; negative: -errno */
static double run(struct bed *b, int (*hold)(struct bed *b))
{
	double began = now_seconds(), spent;
	uint64_t n = 0;

	do {
		int ret = hold(b);

		if (ret)
			return ret;
		n++;
		spent = now_seconds() - began;
	} while (spent < SLICE);
	return spent / (double)n * 1e9;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int compare(struct bed *b, double *value, double *baseline)
{
	double times[2][ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		times[0][i] = run(b, b->hold);
		times[1][i] = run(b, hold_by_registration);
		if (times[0][i] < 0 || times[1][i] < 0)
			return (int)(times[0][i] < 0 ? times[0][i] : times[1][i]);
	}
	qsort(times[0], ROUNDS, sizeof(double), by_value);
	qsort(times[1], ROUNDS, sizeof(double), by_value);
	*value = times[0][ROUNDS / 2];
	*baseline = times[1][ROUNDS / 2];
	return 0;
}

static int open_bed(struct bed *b, size_t len, unsigned int flags, int (*hold)(struct bed *b))
{
	int ret = hmm_mm_attach(NULL, &b->mm);

	b->len = len;
	b->buf = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!ret && b->buf == MAP_FAILED)
		ret = -ENOMEM;
	if (!ret) {
		madvise(b->buf, len, MADV_NOHUGEPAGE);
		memset(b->buf, 1, len);
		ret = io_uring_queue_init(4, &b->ring[0], 0);
	}
	if (!ret)
		ret = io_uring_queue_init(4, &b->ring[1], 0);
	if (!ret)
		ret = io_uring_register_buffers_sparse(&b->ring[1], 1);
	if (!ret)
		ret = uring_cache_create(b->mm, &b->ring[0], 8, flags, &b->cache);
	b->hold = hold;
	b->slot = -1;
	if (!ret && hold == hold_on)
		b->slot = uring_cache_get(b->cache, b->buf, b->len);
	return b->slot < -1 ? b->slot : ret;
}

static void close_bed(struct bed *b)
{
	if (b->slot >= 0)
		uring_cache_put(b->cache, b->slot);
	uring_cache_destroy(b->cache);
	hmm_mm_detach(b->mm);
	io_uring_queue_exit(&b->ring[0]);
	io_uring_queue_exit(&b->ring[1]);
	munmap(b->buf, b->len);
}

static void row(const char *name, double value, double baseline, bool json, bool first)
{
	if (json)
		printf("%s\n  { \"name\": \"%s\", \"unit\": \"ns\", \"value\": %.1f, \"baseline\": "
		       "%.1f, "
		       "\"ratio\": %.3f }",
		       first ? "" : ",", name, value, baseline, value / baseline);
	else
		printf("%-22s %12.0f %12.0f %9.3f\n", name, value, baseline, value / baseline);
}

int measure(bool json)
{
	static const struct {
		const char *name;
		size_t len;
		unsigned int flags;
		int (*hold)(struct bed *b);
	} cases[] = {
		{ "hit-4K", 4096, 0, hold_by_cache },
		{ "hit-4K-trusted", 4096, URING_CACHE_TRUSTED, hold_by_cache },
		{ "hit-64K", 64 << 10, 0, hold_by_cache },
		{ "hit-64K-trusted", 64 << 10, URING_CACHE_TRUSTED, hold_by_cache },
		{ "hit-1M", 1 << 20, 0, hold_by_cache },
		{ "hit-16M", 16 << 20, 0, hold_by_cache },
		{ "held-64K-trusted", 64 << 10, URING_CACHE_TRUSTED, hold_on },
		{ "miss-64K", 64 << 10, URING_CACHE_TRUSTED, hold_by_miss },
	};

	if (json)
		putchar('[');
	else
		printf("%-22s %12s %12s %9s\n", "ns for a fixed buffer", "kept", "registered",
		       "ratio");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bed b = { 0 };
		double value = 0, baseline = 0;
		int ret = open_bed(&b, cases[i].len, cases[i].flags, cases[i].hold);

		if (!ret)
			ret = compare(&b, &value, &baseline);
		if (ret) {
			fprintf(stderr, "uring-copy: cannot measure: %s\n", strerror(-ret));
			return 3;
		}
		close_bed(&b);
		row(cases[i].name, value, baseline, json, !i);
	}
	if (json)
		puts("\n]");
	return 0;
}
