/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Memory that is never mirrored. The pump, the tables and all code that runs under a lock of ours
 * allocate here, so that no allocation of ours waits for an event that we must read.
 */
#ifndef LIB_BASE_POOL_H
#define LIB_BASE_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>

/*
 * Maps zeroed pages as a VMA of their own ("[anon:libhmm]" if the kernel names VMAs). NULL: no
 * memory.
 */
void *pool_map(size_t size);
/*
 * The same for a large one of which little is used: pages count when they are touched, also in a
 * program that locks all its memory.
 */
void *pool_map_lazily(size_t size);
/*
 * Maps whole pages of such a one anew, so that the kernel keeps no page table of what was there.
 * Nobody can access them before pool_open(). False: there is no memory; they may be gone.
 */
bool pool_renew(void *ptr, size_t size);
bool pool_open(void *ptr, size_t size);
/* Has the program called mlockall(MCL_FUTURE)? Then what is mapped takes its memory at once. */
bool pool_locks_all(void);
/* The same as address space alone: nobody can access it. */
void *pool_reserve(size_t size);
/* Whole pages of any of these are zero again and take no memory. */
void pool_discard(void *ptr, size_t size);
void pool_unmap(void *ptr, size_t size);
/* Is this address in memory from pool_map() or pool_reserve()? Never blocks. */
bool pool_owns(uint64_t addr);

/*
 * Objects of one size. objpool_get() returns a zeroed one. Their memory goes back to the system in
 * objpool_fini() only. Thread-safe. Getting one may map pages and never unmaps any, so it is
 * allowed under every lock.
 */
struct objpool {
	pthread_mutex_t lock;
	size_t size;         /* of an object, a multiple of 16 */
	void *free;          /* list, linked through the first word (lock) */
	struct slab *slabs;  /* (lock) */
	void *_Atomic spare; /* a free one, which is taken and put back without the lock */
};

void objpool_init(struct objpool *pool, size_t size);
void *objpool_get(struct objpool *pool);
void objpool_put(struct objpool *pool, void *obj);
void objpool_fini(struct objpool *pool);

#endif
