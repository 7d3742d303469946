/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* table.c is the cache, buffer.c the slots of the ring that its registrations are. */
#ifndef URING_CACHE_INTERNAL_H
#define URING_CACHE_INTERNAL_H

#include <pthread.h>
#include <stdint.h>
#include "cache.h"

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

/* How io_uring registers. */
extern const struct hmm_regcache_ops buffer_ops;

#endif
