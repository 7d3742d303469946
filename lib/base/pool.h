/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Memory that is never mirrored: the pump, the tables and everything that is used while a lock of
 * ours is held live here, so that no allocation of ours can wait for an event that we must read.
 */
#ifndef LIB_BASE_POOL_H
#define LIB_BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>

/*
 * Zeroed pages, a VMA of their own ("[anon:libhmm]" where the kernel names VMAs). NULL: no memory.
 */
void *pool_map(size_t size);
void pool_unmap(void *ptr, size_t size);
/* Is this address in memory of ours? For kernels that do not name VMAs. Never blocks. */
bool pool_owns(uint64_t addr);

/*
 * Objects of one size. get() zeroes. Objects are never returned to the system before fini().
 * Thread-safe; may map pages, never unmaps any: legal under every lock.
 */
struct objpool {
	pthread_mutex_t lock;
	size_t size;        /* of an object, a multiple of 16 */
	void *free;         /* list, linked through the first word (lock) */
	struct slab *slabs; /* (lock) */
};

void objpool_init(struct objpool *pool, size_t size);
void *objpool_get(struct objpool *pool);
void objpool_put(struct objpool *pool, void *obj);
void objpool_fini(struct objpool *pool);

#endif
