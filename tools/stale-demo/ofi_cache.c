// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The structures below are those of libfabric 1.17, or of 2.x with OFI_CACHE_MAJOR 2; there is no
 * public header for them. Members that nothing here reads are left as room of the same size.
 * ofi_cache_begin() and ofi_cache_open() find out whether they fit.
 */
#include "ofi_cache.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_ext.h>

#ifndef OFI_CACHE_MAJOR
#define OFI_CACHE_MAJOR 1
#endif

#define INTERFACES 6 /* kinds of memory, the host's is the first */

struct list {
	struct list *next;
	struct list *prev;
};

struct info {
	struct iovec iov;
	enum fi_hmem_iface iface;
	uint64_t device;
#if OFI_CACHE_MAJOR > 1
	uint64_t flags;
	uint64_t peer;
#endif
	void *mapped;
	uint8_t handle[64];
};

struct ofi_held {
	struct info info;
	void *node; /* NULL: not in the cache */
	int use_count;
	struct list list;
	uint64_t device_memory;
	uint64_t id; /* the provider's */
};

struct tree {
	void *root;
	void *sentinel[5];
	void *free_list;
	int (*compare)(struct tree *tree, void *key, void *data);
};

struct cache {
	void *domain;
#if OFI_CACHE_MAJOR > 1
	void *provider;
#endif
	void *monitors[INTERFACES];
	struct list notify[INTERFACES];
	size_t data_size;
	struct tree tree;
	struct list lru;
	struct list dead;
	pthread_mutex_t lock;
	size_t cached_count;
	size_t cached_size;
#if OFI_CACHE_MAJOR > 1
	size_t most_count;
	size_t most_size;
#endif
	size_t uncached_count;
	size_t uncached_size;
	size_t searches;
	size_t deletes;
	size_t hits;
	size_t notified;
	void *pool;
	int (*add_region)(struct cache *cache, struct ofi_held *held);
	void (*delete_region)(struct cache *cache, struct ofi_held *held);
};

extern struct fi_provider core_prov;
extern void *default_monitor;
extern pthread_mutex_t mm_lock;
void fi_ini(void);
int ofi_mr_cache_init(void *domain, void **monitors, struct cache *cache);
void ofi_mr_cache_cleanup(struct cache *cache);
int ofi_mr_cache_search(struct cache *cache, const struct info *info, struct ofi_held **held);
void ofi_mr_cache_delete(struct cache *cache, struct ofi_held *held);

struct ofi_cache {
	struct cache cache; /* first */
	/*
	 * Of the domain libfabric reads a pointer to its provider and counts references. Each word
	 * is that pointer, so it need not be known which one is read.
	 */
	void *domain[128];
	struct ofi_cache_ops ops;
	void *arg;
};

#if OFI_CACHE_MAJOR > 1 && !__GLIBC_PREREQ(2, 38)
/* A libfabric that was built with a newer C library asks for these names. */
long __isoc23_strtol(const char *text, char **end, int base);
unsigned long __isoc23_strtoul(const char *text, char **end, int base);
int __isoc23_sscanf(const char *text, const char *format, ...);

long __isoc23_strtol(const char *text, char **end, int base)
{
	return strtol(text, end, base);
}

unsigned long __isoc23_strtoul(const char *text, char **end, int base)
{
	return strtoul(text, end, base);
}

int __isoc23_sscanf(const char *text, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsscanf(text, format, args);
	va_end(args);
	return n;
}

/* So it asks for a function of a newer libefa. No device of that kind is opened. */
__attribute__((weak)) int efadv_query_mr(void);

__attribute__((weak)) int efadv_query_mr(void)
{
	return EOPNOTSUPP;
}
#endif

static int add_region(struct cache *cache, struct ofi_held *held)
{
	struct ofi_cache *c = (struct ofi_cache *)cache;

	return c->ops.reg((uintptr_t)held->info.iov.iov_base, held->info.iov.iov_len, &held->id,
			  c->arg);
}

static void delete_region(struct cache *cache, struct ofi_held *held)
{
	struct ofi_cache *c = (struct ofi_cache *)cache;

	c->ops.dereg(held->id, c->arg);
}

static int import(const char *path)
{
	void *object = path ? dlopen(path, RTLD_NOW | RTLD_GLOBAL) : RTLD_DEFAULT;
	int (*entry)(struct fid *) = (int (*)(struct fid *))(
		object || !path ? dlsym(object, "libhmm_ofi_import") : NULL);
	struct fid *fid;
	int err;

	if (!entry)
		return -ENOENT;
	err = fi_open(FI_VERSION(1, 13), "mr_cache", NULL, 0, 0, &fid, NULL);
	if (err)
		return err;
	err = entry(fid);
	fi_close(fid);
	return err;
}

int ofi_cache_begin(const char *monitor, const char *path)
{
	const bool libhmm = !strcmp(monitor, "libhmm");

	if (FI_MAJOR(fi_version()) != OFI_CACHE_MAJOR)
		abort();
	if (libhmm)
		unsetenv("FI_MR_CACHE_MONITOR");
	else
		setenv("FI_MR_CACHE_MONITOR", monitor, 1);
	fi_ini();
	if (libhmm)
		return import(path);
	return default_monitor ? 0 : -EOPNOTSUPP;
}

static int fill(struct ofi_cache *c)
{
	void *monitors[INTERFACES] = { default_monitor };

	for (size_t i = 0; i < sizeof(c->domain) / sizeof(c->domain[0]); i++)
		c->domain[i] = &core_prov;
	c->cache.data_size = sizeof(struct ofi_held) - offsetof(struct ofi_held, id);
	c->cache.add_region = add_region;
	c->cache.delete_region = delete_region;
	return ofi_mr_cache_init(c->domain, monitors, &c->cache);
}

int ofi_cache_open(const struct ofi_cache_ops *ops, void *arg, struct ofi_cache **cache)
{
	struct ofi_cache *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->ops = *ops;
	c->arg = arg;
	err = fill(c);
	/* Another libfabric, whose structures differ. */
	if (!err && (c->cache.domain != c->domain || c->cache.searches || !c->cache.pool ||
		     !c->cache.notify[0].next))
		abort();
	if (err) {
		free(c);
		return err;
	}
	*cache = c;
	return 0;
}

void ofi_cache_close(struct ofi_cache *cache)
{
	ofi_mr_cache_cleanup(&cache->cache);
	free(cache);
}

int ofi_cache_get(struct ofi_cache *cache, uint64_t addr, uint64_t len, uint64_t *id,
		  struct ofi_held **held)
{
	const struct info info = {
		.iov = { .iov_base = (void *)(uintptr_t)addr, .iov_len = len },
		.iface = FI_HMEM_SYSTEM,
	};
	int err = ofi_mr_cache_search(&cache->cache, &info, held);

	if (!err)
		*id = (*held)->id;
	return err;
}

void ofi_cache_put(struct ofi_cache *cache, struct ofi_held *held)
{
	ofi_mr_cache_delete(&cache->cache, held);
}

void ofi_cache_get_stats(const struct ofi_cache *cache, struct ofi_cache_stats *stats)
{
	stats->searches = cache->cache.searches;
	stats->hits = cache->cache.hits;
	stats->notified = cache->cache.notified;
	stats->cached = cache->cache.cached_count;
}

pthread_mutex_t *ofi_cache_lock(void)
{
	return &mm_lock;
}

pthread_mutex_t *ofi_cache_own_lock(struct ofi_cache *cache)
{
	return &cache->cache.lock;
}
