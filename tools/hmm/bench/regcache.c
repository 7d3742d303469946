// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Hits of a cache of registrations, beside the bare in-flight probe that each contains. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../attach.h"
#include "raw.h"
#include "regcache.h"
#include "unmapper.h"

#define CALLS 20000
#define MANY 10000
#define STRIDE (2 * HMM_PAGE_SIZE) /* registrations that touch would become one */

static int register_nothing(struct hmm_registration *r, void *priv)
{
	r->device = r->start;
	return 0;
}

static void deregister_nothing(struct hmm_registration *r, void *priv)
{
}

int cache_open(struct cache *c)
{
	static const struct hmm_regcache_ops ops = { .size = sizeof(ops),
						     .reg = register_nothing,
						     .dereg = deregister_nothing };
	/* Nothing is pinned: the limit on locked memory does not matter. */
	const struct hmm_regcache_options options = { .size = sizeof(options),
						      .max_entries = 2 * MANY,
						      .max_pinned = UINT64_MAX,
						      .max_merge = 1 };
	int ret = space_attach(&c->mm);

	return ret ? ret : hmm_regcache_create(c->mm, &ops, &options, c, &c->cache);
}

void cache_close(struct cache *c)
{
	hmm_regcache_destroy(c->cache);
	hmm_mm_detach(c->mm);
	*c = (struct cache){ 0 };
}

int cache_keep(struct cache *c, const void *base, size_t size)
{
	int ret = -ENOENT;

	for (int i = 0; i < 3 && ret; i++) {
		ret = cache_use(c, base, size, 0);
		if (!ret)
			ret = cache_use(c, base, size, HMM_REGCACHE_HIT);
		if (ret && ret != -ENOENT)
			return ret;
	}
	return ret ? -EIO : 0;
}

struct hits {
	struct cache cache;
	char *base; /* of what is hit */
	size_t size;
	char *pages; /* a page at each STRIDE is registered */
	size_t n;    /* so many of them are hit in turn; 0: base is */
	int uffd;
	struct unmapper other;
	uint64_t turn;
};

/* A number that is spread evenly, cheap to come by. */
static size_t next(struct hits *h)
{
	h->turn = h->turn * 6364136223846793005ULL + 1442695040888963407ULL;
	return (size_t)((h->turn >> 33) % h->n);
}

static const char *place(struct hits *h)
{
	return h->n ? h->pages + next(h) * STRIDE : h->base;
}

static double ours(void *arg)
{
	struct hits *h = arg;
	double begin = bench_cpu_ns();
	unsigned int hits = 0;

	for (int i = 0; i < CALLS; i++)
		hits += !cache_use(&h->cache, place(h), h->size, HMM_REGCACHE_HIT);
	return hits == CALLS ? (bench_cpu_ns() - begin) / CALLS : NAN;
}

static double theirs(void *arg)
{
	struct hits *h = arg;
	double begin = bench_cpu_ns();
	unsigned int idle = 0;

	for (int i = 0; i < CALLS; i++)
		idle += raw_uffd_probe(h->uffd, place(h)) == -EINVAL;
	return idle == CALLS ? (bench_cpu_ns() - begin) / CALLS : NAN;
}

/* One more registration, or what the many are. */
static int measure(struct bench *b, struct hits *h, size_t size, const char *name)
{
	struct bench_row row = { .unit = "ns", .target = 1.2 };
	int ret = 0;

	h->size = size;
	snprintf(row.name, sizeof(row.name), "regcache-hit-%s", name);
	snprintf(row.note, sizeof(row.note), "get and put%s; the probe", h->n ? ", at random" : "");
	if (!h->n)
		ret = cache_keep(&h->cache, h->base, size);
	if (!ret)
		ret = bench_interleave(b, ours, theirs, h, &row);
	if (!ret)
		bench_add(b, &row);
	return ret;
}

static int keep_many(struct hits *h)
{
	int ret = 0;

	for (size_t i = 0; i < MANY && !ret; i++)
		ret = cache_keep(&h->cache, h->pages + i * STRIDE, HMM_PAGE_SIZE);
	return ret;
}

/*
 * ---- while others unmap
 * ----------------------------------------------------------------------------------
 */

/* The share of gets that are hits. */
static double quiet(void *arg)
{
	struct hits *h = arg;
	struct hmm_regcache_stats before = { .size = sizeof(before) },
				  after = { .size = sizeof(after) };
	int ret = hmm_regcache_get_stats(h->cache.cache, &before);

	for (int i = 0; i < CALLS && !ret; i++)
		ret = cache_use(&h->cache, place(h), h->size, 0);
	if (!ret)
		ret = hmm_regcache_get_stats(h->cache.cache, &after);
	return ret ? NAN : (double)(after.hits - before.hits) / CALLS;
}

static double loud(void *arg)
{
	struct hits *h = arg;
	double share;

	if (unmapper_start(&h->other))
		return NAN;
	share = quiet(h);
	unmapper_stop(&h->other);
	return h->other.error ? NAN : share;
}

static int disturb(struct bench *b, struct hits *h, enum unmapper_kind kind, const char *name)
{
	struct bench_row row = { .unit = "share", .target = 0.95, .sense = BENCH_HIGHER };
	int ret;

	h->other = (struct unmapper){ .mm = h->cache.mm, .kind = kind };
	h->size = HMM_PAGE_SIZE;
	snprintf(row.name, sizeof(row.name), "regcache-hits-%s", name);
	ret = bench_interleave(b, loud, quiet, h, &row);
	snprintf(row.note, sizeof(row.note), "%.0f munmaps/s at least; in quiet", h->other.reached);
	if (!ret)
		bench_add(b, &row);
	return ret;
}

static int measure_all(struct bench *b, struct hits *h)
{
	int ret = measure(b, h, HMM_PAGE_SIZE, "4KiB-1");

	hmm_regcache_flush(h->cache.cache);
	if (!ret)
		ret = measure(b, h, 64 * RAW_MIB, "64MiB-1");
	if (!ret)
		ret = keep_many(h);
	if (!ret)
		ret = measure(b, h, 64 * RAW_MIB, "64MiB-10000");
	h->n = MANY;
	if (!ret)
		ret = measure(b, h, HMM_PAGE_SIZE, "4KiB-10000");
	if (!ret)
		ret = disturb(b, h, BYSTANDER, "bystander");
	if (!ret)
		ret = disturb(b, h, REGISTERED, "registered");
	return ret;
}

static int measure_hits(struct bench *b)
{
	struct hits h = { .uffd = raw_uffd() };
	int ret = h.uffd < 0 ? h.uffd : cache_open(&h.cache);

	h.base = raw_map(64 * RAW_MIB, false);
	h.pages = raw_map(MANY * STRIDE, false);
	if (!ret)
		ret = h.base && h.pages ? measure_all(b, &h) : -ENOMEM;
	cache_close(&h.cache);
	if (h.base)
		munmap(h.base, 64 * RAW_MIB);
	if (h.pages)
		munmap(h.pages, MANY * STRIDE);
	if (h.uffd >= 0)
		close(h.uffd);
	return ret;
}

int bench_regcache(struct bench *b)
{
	int ret = measure_hits(b);

	if (!ret)
		ret = bench_regcache_munmap(b);
	if (!ret)
		ret = bench_regcache_bystander(b);
	return ret ? ret : bench_regcache_uring(b);
}
