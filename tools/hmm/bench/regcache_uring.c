// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * 64 KiB of anonymous memory as a fixed buffer of io_uring: kept by a cache, against registered and
 * deregistered each time.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <liburing.h>

#include "../attach.h"
#include "raw.h"
#include "regcache.h"

#define SIZE (64UL << 10)
#define CALLS 2000

struct fixed {
	struct cache cache;
	struct io_uring ring;
	char *base;
};

static int set_buffer(struct fixed *f, void *base, size_t size)
{
	struct iovec iov = { base, size };
	__u64 tag = 0;
	int ret = io_uring_register_buffers_update_tag(&f->ring, 0, &iov, &tag, 1);

	return ret < 0 ? ret : 0;
}

static int register_buffer(struct hmm_registration *r, void *priv)
{
	r->device = 0;
	return set_buffer(priv, (void *)(uintptr_t)r->start, r->length);
}

static void deregister_buffer(struct hmm_registration *r, void *priv)
{
	set_buffer(priv, NULL, 0);
}

static double kept(void *arg)
{
	struct fixed *f = arg;
	double begin = bench_cpu_ns();
	int ret = 0;

	for (int i = 0; i < CALLS && !ret; i++)
		ret = cache_use(&f->cache, f->base, SIZE, HMM_REGCACHE_WRITE | HMM_REGCACHE_HIT);
	return ret ? NAN : (bench_cpu_ns() - begin) / CALLS;
}

/* In the slot of the other side, which has to register anew: its first get is not counted. */
static double each_time(void *arg)
{
	struct fixed *f = arg;
	double begin, spent;
	int ret = 0;

	hmm_regcache_flush(f->cache.cache);
	begin = bench_cpu_ns();
	for (int i = 0; i < CALLS && !ret; i++) {
		ret = set_buffer(f, f->base, SIZE);
		if (!ret)
			ret = set_buffer(f, NULL, 0);
	}
	spent = bench_cpu_ns() - begin;
	for (int i = 0; i < 2 && !ret; i++)
		ret = cache_use(&f->cache, f->base, SIZE, HMM_REGCACHE_WRITE);
	return ret ? NAN : spent / CALLS;
}

static int open_cache(struct fixed *f)
{
	static const struct hmm_regcache_ops ops = { .size = sizeof(ops),
						     .reg = register_buffer,
						     .dereg = deregister_buffer };
	int ret = space_attach(&f->cache.mm);

	if (!ret)
		ret = hmm_regcache_create(f->cache.mm, &ops, NULL, f, &f->cache.cache);
	for (int i = 0; i < 2 && !ret; i++)
		ret = cache_use(&f->cache, f->base, SIZE, HMM_REGCACHE_WRITE);
	return ret;
}

int bench_regcache_uring(struct bench *b)
{
	struct bench_row row = { .name = "regcache-uring-64KiB",
				 .unit = "ns",
				 .target = 1 / 3.0,
				 .note = "a fixed buffer of io_uring; registered each time" };
	struct fixed f = { .base = raw_map(2 * RAW_MIB, false) };
	int ret = f.base ? io_uring_queue_init(4, &f.ring, 0) : -ENOMEM;

	if (ret)
		return ret;
	memset(f.base, 1, SIZE);
	ret = io_uring_register_buffers_sparse(&f.ring, 1);
	if (!ret)
		ret = open_cache(&f);
	if (!ret)
		ret = bench_interleave(b, kept, each_time, &f, &row);
	if (!ret)
		bench_add(b, &row);
	cache_close(&f.cache);
	io_uring_queue_exit(&f.ring);
	munmap(f.base, 2 * RAW_MIB);
	return ret;
}
