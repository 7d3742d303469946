// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* libfabric's cache as a peer, with each of its monitors. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "ofi_cache.h"
#include "peers.h"

static int reg(uint64_t addr, uint64_t length, uint64_t *id, void *arg)
{
	return pin_make(addr, length, id);
}

static void dereg(uint64_t id, void *arg)
{
	pin_end(id);
}

static int start(const char *monitor, char *why, size_t size)
{
	int err = ofi_cache_begin(monitor, NULL);

	if (err)
		snprintf(why, size, "libfabric has no monitor %s: %s", monitor, strerror(-err));
	return err;
}

static int start_memhooks(char *why, size_t size)
{
	return start("memhooks", why, size);
}

static int start_uffd(char *why, size_t size)
{
	return start("userfaultfd", why, size);
}

static int start_hmm(char *why, size_t size)
{
	return start("libhmm", why, size);
}

static int open_cache(struct peer_cache **cache)
{
	static const struct ofi_cache_ops ops = { .reg = reg, .dereg = dereg };

	return ofi_cache_open(&ops, NULL, (struct ofi_cache **)cache);
}

static int get(struct peer_cache *cache, uint64_t addr, uint64_t length, unsigned int flags,
	       struct peer_use *use)
{
	struct ofi_held *held;
	int err = ofi_cache_get((struct ofi_cache *)cache, addr, length, &use->id, &held);

	if (!err)
		use->entry = held;
	return err;
}

static void put(struct peer_cache *cache, struct peer_use *use)
{
	ofi_cache_put((struct ofi_cache *)cache, use->entry);
}

static void close_cache(struct peer_cache *cache)
{
	ofi_cache_close((struct ofi_cache *)cache);
}

static void lock(void)
{
	pthread_mutex_lock(ofi_cache_lock());
}

static void unlock(void)
{
	pthread_mutex_unlock(ofi_cache_lock());
}

#define OFI_PEER(title, how)                                                                       \
	{                                                                                          \
		.name = title, .start = how, .open = open_cache, .get = get, .put = put,           \
		.close = close_cache, .lock = lock, .unlock = unlock                               \
	}

static const struct peer ofi_memhooks = OFI_PEER("ofi-memhooks", start_memhooks);
static const struct peer ofi_uffd = OFI_PEER("ofi-uffd", start_uffd);
static const struct peer ofi_hmm = OFI_PEER("ofi-hmm", start_hmm);

const struct peer *const peers[] = { &ofi_memhooks, &ofi_uffd, &ofi_hmm, NULL };
