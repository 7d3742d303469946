/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What libhmm-ucx.so knows of UCX's inside, read in UCX 1.13 to 1.22. It is compiled without UCX's
 * headers, as one object serves all of them.
 *
 *	1.13		the parameters of a cache have alignments; every lookup is a call of
 *			ucs_rcache_get()
 *	1.14 to 1.16	the same, but libucp looks up by itself, with no lock of the cache's
 *	1.17 to 1.22	no alignments; libucp looks up by itself; a cache may ask that events are
 *			queued and never handled by the thread that raises them
 */
#ifndef MONITOR_UCX_ABI_H
#define MONITOR_UCX_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>

#define UCX_MAJOR 1U
#define UCX_MINOR_FIRST 13U
#define UCX_MINOR_LAST 22U

/* ucs_status_t is a packed enum. */
typedef signed char ucx_status;
#define UCX_OK 0
#define UCX_INPROGRESS 1
#define UCX_ERR_IO (-3)
#define UCX_ERR_NO_MEMORY (-4)

#define UCX_EVENT_VM_UNMAPPED (1 << 17)
#define UCX_EVENT_MEM_TYPE_FREE (1 << 21)
#define UCX_CACHE_EVENTS (UCX_EVENT_VM_UNMAPPED | UCX_EVENT_MEM_TYPE_FREE)

/* A flag of a cache, since 1.17. */
#define UCX_CACHE_QUEUE_EVENTS (1 << 2)
/* A flag of a registration: neighbours were merged; if it fails UCX tries without. */
#define UCX_REG_MERGED 1
/* A flag of a region: it is in the table of the cache. */
#define UCX_REGION_TABLE 2

/* Callbacks of a cache. Since 1.18 there is a fourth before the last. */
typedef ucx_status ucx_reg_fn(void *context, void *cache, void *arg, void *region, uint16_t flags);
typedef void ucx_dereg_fn(void *context, void *cache, void *region);
struct ucx_ops {
	ucx_reg_fn *reg;
	ucx_dereg_fn *dereg;
	void *others[2];
};

/* struct ucs_rcache_params of 1.13 to 1.16 */
struct ucx_params_13 {
	size_t region_size;
	size_t alignment;
	size_t max_alignment;
	int events;
	int priority;
	const struct ucx_ops *ops;
	void *context;
	int flags;
	unsigned long max_regions;
	size_t max_size;
	size_t max_unreleased;
};

/* ... of 1.17 to 1.22 */
struct ucx_params_17 {
	size_t region_size;
	int events;
	int priority;
	const struct ucx_ops *ops;
	void *context;
	int flags;
	unsigned long max_regions;
	size_t max_size;
	size_t max_unreleased;
};

/* struct ucs_rcache begins with its parameters; up to 1.21 the lock of the table follows. */
struct ucx_cache_13 {
	struct ucx_params_13 params;
	pthread_rwlock_t table_lock;
};

/* struct ucs_rcache_region of 1.13 to 1.16 */
struct ucx_region_13 {
	uint64_t start;
	uint64_t end;
	void *lists[6];
	volatile uint32_t users;
	ucx_status status;
	uint8_t prot;
	uint8_t flags;
	uint8_t lru_flags;
	uint64_t priv;
};

/* ... of 1.17 to 1.22 */
struct ucx_region_17 {
	uint64_t start;
	uint64_t end;
	void *lists[6];
	size_t alignment;
	volatile uint32_t users;
	ucx_status status;
	uint8_t prot;
	uint8_t flags;
	uint8_t lru_flags;
	uint64_t priv;
};

#endif
