// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The library's own registration cache. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <hmm/hmm.h>
#include <hmm/regcache.h>
#include "peers.h"

#define TIMEOUT_NS 10000000000ULL

static struct hmm_mm *mm;

static int register_range(struct hmm_registration *r, void *priv)
{
	return pin_make(r->start, r->length, &r->device);
}

static void deregister(struct hmm_registration *r, void *priv)
{
	pin_end(r->device);
}

static int start(char *why, size_t size)
{
	int err = hmm_mm_attach(NULL, &mm);

	if (err)
		snprintf(why, size, "hmm_mm_attach: %s", strerror(-err));
	return err;
}

static int open_with(uint32_t flags, struct peer_cache **cache)
{
	static const struct hmm_regcache_ops ops = {
		.size = sizeof(ops),
		.reg = register_range,
		.dereg = deregister,
	};
	struct hmm_regcache_options options = {
		.size = sizeof(options),
		.flags = flags,
	};

	return hmm_regcache_create(mm, &ops, &options, NULL, (struct hmm_regcache **)cache);
}

static int open_cache(struct peer_cache **cache)
{
	return open_with(HMM_REGCACHE_CHILD, cache);
}

static int open_strict(struct peer_cache **cache)
{
	return open_with(HMM_REGCACHE_CHILD | HMM_REGCACHE_STRICT, cache);
}

static int get(struct peer_cache *cache, uint64_t addr, uint64_t length, unsigned int flags,
	       struct peer_use *use)
{
	unsigned int ours = flags & PEER_ORDERED ? HMM_REGCACHE_ORDERED : 0;
	struct hmm_registration *r;
	int err = hmm_regcache_get((struct hmm_regcache *)cache, addr, length,
				   ours | HMM_REGCACHE_WRITE, TIMEOUT_NS, &r);

	if (err)
		return err;
	use->entry = r;
	use->id = r->device;
	return 0;
}

static void put(struct peer_cache *cache, struct peer_use *use)
{
	hmm_regcache_put((struct hmm_regcache *)cache, use->entry);
}

static void close_cache(struct peer_cache *cache)
{
	hmm_regcache_destroy((struct hmm_regcache *)cache);
}

const struct peer peer_hmm = {
	.name = "hmm",
	.start = start,
	.open = open_cache,
	.get = get,
	.put = put,
	.close = close_cache,
};

/* Every hit asks for the mapping, too. */
const struct peer peer_hmm_strict = {
	.name = "hmm-strict",
	.start = start,
	.open = open_strict,
	.get = get,
	.put = put,
	.close = close_cache,
};
