// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "ucx_cache.h"

#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <ucm/api/ucm.h>
#include <ucs/memory/rcache.h>

/*
 * UCX_CACHE_17: the headers are of UCX 1.17 or newer. An alignment is an argument of each lookup.
 * UCX_CACHE_MERGES: of 1.18 or newer. There is one more callback.
 */
#ifdef UCX_CACHE_17
#define GET_ALIGNMENT UCS_RCACHE_MIN_ALIGNMENT,
#else
#define GET_ALIGNMENT
#endif

struct peer_cache {
	ucs_rcache_t *rcache;
};

struct region {
	ucs_rcache_region_t super;
	uint64_t id;
};

/* Why the registration of this thread failed; UCX passes on a status of its own. */
static _Thread_local int reg_err;

static ucs_status_t reg(void *context, ucs_rcache_t *rcache, void *arg, ucs_rcache_region_t *super,
			uint16_t flags)
{
	struct region *r = (struct region *)super;

	reg_err = pin_make(super->super.start, super->super.end - super->super.start, &r->id);
	return reg_err ? UCS_ERR_IO_ERROR : UCS_OK;
}

static void dereg(void *context, ucs_rcache_t *rcache, ucs_rcache_region_t *super)
{
	pin_end(((struct region *)super)->id);
}

static void dump(void *context, ucs_rcache_t *rcache, ucs_rcache_region_t *super, char *buf,
		 size_t max)
{
	snprintf(buf, max, "id %llu", (unsigned long long)((struct region *)super)->id);
}

#ifdef UCX_CACHE_MERGES
static void merge(void *context, ucs_rcache_t *rcache, void *arg, ucs_rcache_region_t *super)
{
}
#endif

static const ucs_rcache_ops_t ops = {
	.mem_reg = reg,
	.mem_dereg = dereg,
#ifdef UCX_CACHE_MERGES
	.merge = merge,
#endif
	.dump_region = dump,
};

static int error_of(ucs_status_t status)
{
	switch (status) {
	case UCS_OK:
		return 0;
	case UCS_ERR_NO_MEMORY:
		return -ENOMEM;
	case UCS_ERR_UNSUPPORTED:
		return -EOPNOTSUPP;
	default:
		return -EIO;
	}
}

static int ucx_open(struct peer_cache **cache)
{
	ucs_rcache_params_t params = {
		.region_struct_size = sizeof(struct region),
#ifndef UCX_CACHE_17
		.alignment = UCS_RCACHE_MIN_ALIGNMENT,
		.max_alignment = 4096,
#endif
		.ucm_events = UCM_EVENT_VM_UNMAPPED,
		.ucm_event_priority = 1000,
		.ops = &ops,
		.flags = UCS_RCACHE_FLAG_NO_PFN_CHECK,
		.max_regions = ~0UL,
		.max_size = SIZE_MAX,
		.max_unreleased = SIZE_MAX,
	};
	struct peer_cache *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	err = error_of(ucs_rcache_create(&params, "stale-demo", NULL, &c->rcache));
	if (err)
		free(c);
	else
		*cache = c;
	return err;
}

static int ucx_get(struct peer_cache *cache, uint64_t addr, uint64_t length, unsigned int flags,
		   struct peer_use *use)
{
	ucs_rcache_region_t *region = NULL;
	ucs_status_t status;

	reg_err = 0;
	status = ucs_rcache_get(cache->rcache, (void *)(uintptr_t)addr, length,
				GET_ALIGNMENT PROT_READ | PROT_WRITE, NULL, &region);
	if (status != UCS_OK)
		return reg_err ? reg_err : error_of(status);
	use->entry = region;
	use->id = ((struct region *)region)->id;
	return 0;
}

static void ucx_put(struct peer_cache *cache, struct peer_use *use)
{
	ucs_rcache_region_put(cache->rcache, use->entry);
}

static void ucx_close(struct peer_cache *cache)
{
	ucs_rcache_destroy(cache->rcache);
	free(cache);
}

static int find_monitor(struct dl_phdr_info *info, size_t size, void *found)
{
	if (strstr(info->dlpi_name, "libhmm-ucx.so"))
		*(bool *)found = true;
	return 0;
}

static bool has_monitor(void)
{
	bool found = false;

	dl_iterate_phdr(find_monitor, &found);
	return found;
}

static int hooks_start(char *why, size_t size)
{
	if (!has_monitor() && !getenv("UCX_MEM_MMAP_HOOK_MODE"))
		return 0;
	snprintf(why, size, "the process has another monitor than UCX's hooks");
	return -EBUSY;
}

static int libhmm_start(char *why, size_t size)
{
	if (has_monitor())
		return 0;
	snprintf(why, size, "the process was started without LD_PRELOAD=libhmm-ucx.so");
	return -ENOENT;
}

#define UCX_PEER(title, how)                                                                       \
	{                                                                                          \
		.name = title, .start = how, .open = ucx_open, .get = ucx_get, .put = ucx_put,     \
		.close = ucx_close                                                                 \
	}

const struct peer ucx_hooks = UCX_PEER("ucx-hooks", hooks_start);
const struct peer ucx_libhmm = UCX_PEER("ucx-hmm", libhmm_start);
