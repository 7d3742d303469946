/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#include "base/pool.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

#define SLAB_BYTES (64 * 1024)

struct slab {
	struct slab *next;
};

void *hmm_pool_map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/*
	 * A flag or a name that the program's mappings lack keeps the kernel from merging ours with a
	 * neighbour that the program has mirrored.
	 */
	madvise(p, size, MADV_DONTDUMP);
	prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, (unsigned long)p, size, "libhmm");
	return p;
}

void hmm_pool_unmap(void *ptr, size_t size)
{
	if (ptr)
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
