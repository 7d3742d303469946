/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * ofi_cache: libfabric's own registration cache, as a provider uses it, with one of its memory
 * monitors. It is that of a libfabric that is linked statically, where the cache's functions can be
 * called. A process can have one monitor.
 */
#ifndef STALE_DEMO_OFI_CACHE_H
#define STALE_DEMO_OFI_CACHE_H

#include <pthread.h>
#include <stdint.h>

/* What registers memory: a device, or a test that notes what it saw there. */
struct ofi_cache_ops {
	/* Stores what identifies the registration. 0; -errno. */
	int (*reg)(uint64_t addr, uint64_t len, uint64_t *id, void *arg);
	void (*dereg)(uint64_t id, void *arg);
};

struct ofi_cache_stats {
	uint64_t searches;
	uint64_t hits;
	uint64_t notified;
	uint64_t cached; /* now */
};

struct ofi_cache;
struct ofi_held; /* a registration that is in use */

/*
 * Begins libfabric with a monitor: "memhooks", "userfaultfd", or "libhmm", which is imported from
 * the preloaded libhmm-ofi.so or the file that path names. 0; -errno: the monitor is not to be had.
 */
int ofi_cache_begin(const char *monitor, const char *path);

/* -errno: the monitor did not start. */
int ofi_cache_open(const struct ofi_cache_ops *ops, void *arg, struct ofi_cache **cache);
/* Nothing is in use. */
void ofi_cache_close(struct ofi_cache *cache);

/* A registration of the range, from the cache or a new one. 0; -errno. */
int ofi_cache_get(struct ofi_cache *cache, uint64_t addr, uint64_t len, uint64_t *id,
		  struct ofi_held **held);
void ofi_cache_put(struct ofi_cache *cache, struct ofi_held *held);

void ofi_cache_get_stats(const struct ofi_cache *cache, struct ofi_cache_stats *stats);

/* The lock that all caches and monitors of libfabric share. */
pthread_mutex_t *ofi_cache_lock(void);
/* The lock of this cache's memory. It is taken after ofi_cache_lock(). */
pthread_mutex_t *ofi_cache_own_lock(struct ofi_cache *cache);

#endif
