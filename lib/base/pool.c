/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#include "base/pool.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

#define SLAB_BYTES (64 * 1024)
#define OWNED_MAX 512

/* Every mapping of ours, for hmm_pool_owns(): end is written last and cleared first, 0 is an empty place. */
static struct {
	_Atomic uint64_t start;
	_Atomic uint64_t end;
} owned[OWNED_MAX];
static _Atomic size_t owned_top;

struct slab {
	struct slab *next;
};

static void own(uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < OWNED_MAX; i++) {
		uint64_t empty = 0;
		size_t top = atomic_load(&owned_top);

		/* 1 reserves the place: no mapping ends there */
		if (!atomic_compare_exchange_strong(&owned[i].end, &empty, 1))
			continue;
		atomic_store(&owned[i].start, start);
		atomic_store(&owned[i].end, end);
		while (top <= i && !atomic_compare_exchange_weak(&owned_top, &top, i + 1))
			;
		return;
	}
}

static void disown(uint64_t start)
{
	for (size_t i = 0; i < OWNED_MAX; i++) {
		if (atomic_load(&owned[i].start) != start || atomic_load(&owned[i].end) <= 1)
			continue;
		atomic_store(&owned[i].start, UINT64_MAX);
		atomic_store(&owned[i].end, 0);
		return;
	}
}

bool hmm_pool_owns(uint64_t addr)
{
	const size_t top = atomic_load(&owned_top);

	for (size_t i = 0; i < top; i++) {
		if (addr >= atomic_load(&owned[i].start) && addr < atomic_load(&owned[i].end))
			return true;
	}
	return false;
}

void *hmm_pool_map(size_t size)
{
	void *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/*
	 * A flag or a name that the program's mappings lack keeps the kernel from merging ours with a
	 * neighbour that the program has mirrored. Until it has one nobody may access it: what cannot be
	 * accessed is merged with nothing that can be mirrored.
	 */
	madvise(p, size, MADV_DONTDUMP);
	prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, (unsigned long)p, size, "libhmm");
	own((uint64_t)(uintptr_t)p, (uint64_t)(uintptr_t)p + size);
	/* Not by the name that the preload object stands in for: it would note it, and we may hold the gate. */
	if (syscall(SYS_mprotect, p, size, PROT_READ | PROT_WRITE)) {
		hmm_pool_unmap(p, size);
		return NULL;
	}
	return p;
}

void hmm_pool_unmap(void *ptr, size_t size)
{
	if (!ptr)
		return;
	disown((uint64_t)(uintptr_t)ptr);
	munmap(ptr, size);
}

void hmm_objpool_init(struct hmm_objpool *pool, size_t size)
{
	memset(pool, 0, sizeof(*pool));
	pthread_mutex_init(&pool->lock, NULL);
	pool->size = (size + 15) & ~(size_t)15;
}

static int grow(struct hmm_objpool *pool)
{
	char *p = hmm_pool_map(SLAB_BYTES);
	struct slab *slab = (struct slab *)p;

	if (!p)
		return -1;
	slab->next = pool->slabs;
	pool->slabs = slab;
	for (char *o = p + 64; o + pool->size <= p + SLAB_BYTES; o += pool->size) {
		*(void **)o = pool->free;
		pool->free = o;
	}
	return 0;
}

void *hmm_objpool_get(struct hmm_objpool *pool)
{
	void *obj = NULL;

	pthread_mutex_lock(&pool->lock);
	if (pool->free || !grow(pool)) {
		obj = pool->free;
		pool->free = *(void **)obj;
	}
	pthread_mutex_unlock(&pool->lock);
	if (obj)
		memset(obj, 0, pool->size);
	return obj;
}

void hmm_objpool_put(struct hmm_objpool *pool, void *obj)
{
	if (!obj)
		return;
	pthread_mutex_lock(&pool->lock);
	*(void **)obj = pool->free;
	pool->free = obj;
	pthread_mutex_unlock(&pool->lock);
}

void hmm_objpool_fini(struct hmm_objpool *pool)
{
	struct slab *next;

	for (struct slab *s = pool->slabs; s; s = next) {
		next = s->next;
		hmm_pool_unmap(s, SLAB_BYTES);
	}
	pthread_mutex_destroy(&pool->lock);
}
