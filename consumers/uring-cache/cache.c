// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* How io_uring registers memory, for a cache of libhmm's. A registration is a slot of the ring. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include "cache.h"

#define SLOTS_MAX 16384

struct uring_cache {
	struct io_uring *ring;
	struct hmm_regcache *cache;
	unsigned int slots;
	pthread_mutex_t lock;
	unsigned int hint;             /* lock: no slot below it is free */
	uint64_t made;                 /* lock */
	uint64_t refused;              /* lock */
	uint64_t registered;           /* lock */
	struct hmm_registration *of[]; /* lock: what is in each slot; NULL: it is free */
};

static int update(struct uring_cache *c, unsigned int slot, uint64_t start, uint64_t bytes)
{
	struct iovec iov = { (void *)(uintptr_t)start, bytes };
	__u64 tag = 0;
	int ret = io_uring_register_buffers_update_tag(c->ring, slot, &iov, &tag, 1);

	return ret < 0 ? ret : 0;
}

/* A free slot becomes this registration's. -1: there is none. */
static int take_slot(struct uring_cache *c, struct hmm_registration *r)
{
	int slot = -1;

	pthread_mutex_lock(&c->lock);
	while (c->hint < c->slots && c->of[c->hint])
		c->hint++;
	if (c->hint < c->slots) {
		slot = (int)c->hint;
		c->of[slot] = r;
		c->registered++;
	}
	pthread_mutex_unlock(&c->lock);
	return slot;
}

static void give_slot(struct uring_cache *c, unsigned int slot)
{
	pthread_mutex_lock(&c->lock);
	c->of[slot] = NULL;
	c->registered--;
	if (slot < c->hint)
		c->hint = slot;
	pthread_mutex_unlock(&c->lock);
}

static int reg(struct hmm_registration *r, void *priv)
{
	struct uring_cache *c = priv;
	int slot = take_slot(c, r);
	int ret;

	if (slot < 0)
		return -ENOBUFS;
	ret = update(c, (unsigned int)slot, r->start, r->length);
	if (ret) {
		give_slot(c, (unsigned int)slot);
		/* That is how io_uring says that it may not pin this memory. */
		return ret == -EFAULT ? -EOPNOTSUPP : ret;
	}
	r->device = (uint64_t)slot;
	pthread_mutex_lock(&c->lock);
	c->made++;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

static void dereg(struct hmm_registration *r, void *priv)
{
	struct uring_cache *c = priv;

	update(c, (unsigned int)r->device, 0, 0);
	give_slot(c, (unsigned int)r->device);
}

static const struct hmm_regcache_ops ops = { .size = sizeof(ops), .reg = reg, .dereg = dereg };

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
		ret = hmm_regcache_create(mm, &ops, &options, c, &c->cache);
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

void uring_cache_reap(struct uring_cache *c)
{
	hmm_regcache_reap(c->cache);
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
