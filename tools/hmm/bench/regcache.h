/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* A cache of registrations whose driver registers nothing, so that the cache alone is measured. */
#ifndef TOOLS_HMM_BENCH_REGCACHE_H
#define TOOLS_HMM_BENCH_REGCACHE_H

#include <hmm/hmm.h>

#include "bench.h"

#define REGCACHE_PATIENCE 1000000000ULL /* ns, for a change that is in flight */

struct cache {
	struct hmm_mm *mm;
	struct hmm_regcache *cache;
};

/* 0 or -errno; cache_close() in either case. */
int cache_open(struct cache *c);
void cache_close(struct cache *c);

/* Registers and keeps. 0; -EIO the cache does not keep it; -errno. */
int cache_keep(struct cache *c, const void *base, size_t size);

/* One get and its put. 0 or -errno. */
static inline int cache_use(struct cache *c, const void *base, size_t size, unsigned int flags)
{
	struct hmm_registration *r;
	int ret = hmm_regcache_get(c->cache, (uintptr_t)base, size, flags, REGCACHE_PATIENCE, &r);

	if (!ret)
		hmm_regcache_put(c->cache, r);
	return ret;
}

/* Groups of rows of bench_regcache(). */
int bench_regcache_munmap(struct bench *b);
int bench_regcache_bystander(struct bench *b);
int bench_regcache_uring(struct bench *b);

#endif
