// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * What the program's munmap() takes where a cache has a registration of the memory, against munmap
 * of a registered range whose events a bare loop reads. The registration itself ends later, in a
 * call of the cache.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "raw.h"
#include "regcache.h"

#define SIZE (16UL << 10)
#define SAMPLES 2000 /* a round */

struct unmap {
	struct cache cache;
	struct raw_reader reader;
	char *place; /* nothing else is mapped near it */
	double *mine;
	double *base;
	size_t n;
};

static bool map(struct unmap *u)
{
	if (mmap(u->place, SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != u->place)
		return false;
	memset(u->place, 1, SIZE);
	return true;
}

static double timed_unmap(struct unmap *u)
{
	double begin = bench_now_ns();

	munmap(u->place, SIZE);
	return (bench_now_ns() - begin) / 1000;
}

static int ours(struct unmap *u)
{
	int ret = map(u) ? cache_keep(&u->cache, u->place, SIZE) : -ENOMEM;

	u->mine[u->n] = timed_unmap(u);
	return ret;
}

static int theirs(struct unmap *u)
{
	int ret = map(u) ? raw_uffd_register(u->reader.uffd, u->place, SIZE) : -ENOMEM;

	u->base[u->n] = timed_unmap(u);
	return ret;
}

static int sample(struct bench *b, struct unmap *u)
{
	int ret = 0;

	for (unsigned int round = 0; round < b->rounds && !ret; round++) {
		size_t first = u->n;

		for (size_t i = 0; i < SAMPLES && !ret; i++, u->n++)
			ret = ours(u);
		u->n = first;
		for (size_t i = 0; i < SAMPLES && !ret; i++, u->n++)
			ret = theirs(u);
	}
	return ret;
}

static void add(struct bench *b, struct unmap *u, const char *name, double percent)
{
	struct bench_row row = { .unit = "us", .target = 1.2 };

	snprintf(row.name, sizeof(row.name), "regcache-munmap-16KiB-%s", name);
	snprintf(row.note, sizeof(row.note), "%zu each, one CPU; until munmap returns", u->n);
	row.value = bench_percentile(u->mine, u->n, percent);
	row.baseline = bench_percentile(u->base, u->n, percent);
	bench_add(b, &row);
}

static int with_reader(struct bench *b, struct unmap *u)
{
	pthread_t thread;
	int ret;

	u->reader.uffd = raw_uffd();
	if (u->reader.uffd < 0)
		return u->reader.uffd;
	ret = -pthread_create(&thread, NULL, raw_uffd_reader, &u->reader);
	if (!ret) {
		ret = sample(b, u);
		u->reader.stop = true;
		pthread_join(thread, NULL);
	}
	close(u->reader.uffd);
	if (!ret) {
		add(b, u, "p50", 50);
		add(b, u, "p99", 99);
	}
	return ret;
}

static int measure(struct bench *b)
{
	char *hole = mmap(NULL, 16 * RAW_MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct unmap u = { .place = hole + 8 * RAW_MIB };
	const size_t n = (size_t)b->rounds * SAMPLES;
	int ret = hole == MAP_FAILED ? -ENOMEM : cache_open(&u.cache);

	if (hole == MAP_FAILED)
		return ret;
	munmap(u.place, RAW_MIB);
	u.mine = calloc(n, sizeof(*u.mine));
	u.base = calloc(n, sizeof(*u.base));
	if (!ret)
		ret = u.mine && u.base ? with_reader(b, &u) : -ENOMEM;
	cache_close(&u.cache);
	munmap(hole, 8 * RAW_MIB);
	munmap(u.place + RAW_MIB, 7 * RAW_MIB);
	free(u.mine);
	free(u.base);
	return ret;
}

/* On one CPU, as the figures of munmap of what is mirrored: see there. */
int bench_regcache_munmap(struct bench *b)
{
	cpu_set_t all, one;
	int ret;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	if (sched_getaffinity(0, sizeof(all), &all) || sched_setaffinity(0, sizeof(one), &one))
		return -errno;
	ret = measure(b);
	sched_setaffinity(0, sizeof(all), &all);
	return ret;
}
