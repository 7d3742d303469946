// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include "internal.h"

#define SLOTS_MAX 16384

int uring_cache_create(struct hmm_mm *mm, struct io_uring *ring, unsigned int slots,
		       unsigned int flags, struct uring_cache **cache)
{
	const struct hmm_regcache_options options = {
		.size = sizeof(options),
		.flags = flags & URING_CACHE_TRUSTED ? 0 : HMM_REGCACHE_STRICT,
		.max_entries = slots,
	};
	struct uring_cache *c;
	int ret;

	if (!mm || !ring || !slots || slots > SLOTS_MAX || flags & ~URING_CACHE_TRUSTED)
		return -EINVAL;
	c = calloc(1, sizeof(*c) + slots * sizeof(c->of[0]));
	if (!c)
		return -ENOMEM;
	c->ring = ring;
	c->slots = slots;
	pthread_mutex_init(&c->lock, NULL);
	ret = io_uring_register_buffers_sparse(ring, slots);
	if (!ret) {
		ret = hmm_regcache_create(mm, &buffer_ops, &options, c, &c->cache);
		if (ret)
			io_uring_unregister_buffers(ring);
	}
	if (ret) {
		free(c);
		return ret;
	}
	*cache = c;
	return 0;
}

void uring_cache_destroy(struct uring_cache *c)
{
	if (!c)
		return;
	hmm_regcache_destroy(c->cache);
	io_uring_unregister_buffers(c->ring);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

int uring_cache_get(struct uring_cache *c, const void *addr, size_t len)
{
	struct hmm_registration *r;
	int ret = hmm_regcache_get(c->cache, (uintptr_t)addr, len, HMM_REGCACHE_WRITE, HMM_FOREVER,
				   &r);

	if (!ret)
		return (int)r->device;
	if (ret == -ENOSPC)
		return -EBUSY;
	if (ret != -ENOMEM && ret != -EOPNOTSUPP)
		return ret;
	pthread_mutex_lock(&c->lock);
	c->refused++;
	pthread_mutex_unlock(&c->lock);
	return -EOPNOTSUPP;
}

static struct hmm_registration *registration(struct uring_cache *c, int slot)
{
	struct hmm_registration *r;

	pthread_mutex_lock(&c->lock);
	r = c->of[slot];
	pthread_mutex_unlock(&c->lock);
	return r;
}

void uring_cache_put(struct uring_cache *c, int slot)
{
	hmm_regcache_put(c->cache, registration(c, slot));
}

int uring_cache_check(struct uring_cache *c, int slot)
{
	return hmm_regcache_check(c->cache, registration(c, slot), 0);
}

int uring_cache_begin(struct uring_cache *c)
{
	hmm_regcache_reap(c->cache);
	return 0;
}

void uring_cache_flush(struct uring_cache *c)
{
	hmm_regcache_flush(c->cache);
}

void uring_cache_get_stats(struct uring_cache *c, struct uring_cache_stats *stats)
{
	struct hmm_regcache_stats s = { .size = sizeof(s) };

	hmm_regcache_get_stats(c->cache, &s);
	pthread_mutex_lock(&c->lock);
	*stats = (struct uring_cache_stats){ .hits = s.hits,
					     .misses = s.misses,
					     .dead = s.invalidated,
					     .evicted = s.evicted,
					     .retries = c->made - s.misses,
					     .refused = c->refused,
					     .registered = c->registered,
					     .registered_bytes = s.pinned };
	pthread_mutex_unlock(&c->lock);
}
