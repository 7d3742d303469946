// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "base/pool.h"
#include "kernel/abi/madvise.h"

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
#define TABLE_BYTES 8192

struct owned {
	_Atomic uint64_t start;
	_Atomic uint64_t end;
};

/*
 * Every mapping of ours, for pool_owns(). An empty place has end 0; `end` is written last when a
 * place is filled. A new table is put in front of the list, and its own mapping into its first
 * place. Tables stay for good, as readers take no lock.
 */
struct table {
	struct table *next;
	_Atomic size_t top; /* places in use are below this */
	/* All that was ever in the table lies between these two, which answers most questions. */
	_Atomic uint64_t low;
	_Atomic uint64_t high;
	struct owned place[];
};

#define PLACES ((TABLE_BYTES - sizeof(struct table)) / sizeof(struct owned))

static struct table *_Atomic tables;

struct slab {
	struct slab *next;
};

static void bound(struct table *t, uint64_t start, uint64_t end)
{
	uint64_t was = atomic_load(&t->low);

	while (start < was && !atomic_compare_exchange_weak(&t->low, &was, start))
		;
	was = atomic_load(&t->high);
	while (end > was && !atomic_compare_exchange_weak(&t->high, &was, end))
		;
}

static bool put_in(struct table *t, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < PLACES; i++) {
		struct owned *o = &t->place[i];
		size_t top = atomic_load(&t->top);
		uint64_t empty = 0;

		/* end 1 reserves the place, as no mapping ends at 1 */
		if (atomic_load(&o->end) || !atomic_compare_exchange_strong(&o->end, &empty, 1))
			continue;
		bound(t, start, end);
		atomic_store(&o->start, start);
		atomic_store(&o->end, end);
		while (top <= i && !atomic_compare_exchange_weak(&t->top, &top, i + 1))
			;
		return true;
	}
	return false;
}

/*
 * Maps pages that nobody can access yet. Then a flag and a name that the program's mappings lack
 * keep the kernel from merging the mapping with a mirrored neighbour. Before it has these the
 * kernel does not merge it either, as nothing that is mirrored is inaccessible.
 */
static void *map_named(void *at, size_t size, int flags)
{
	void *p = mmap(at, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, size, MADV_DONTDUMP);
	prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, (unsigned long)p, size, "libhmm");
	return p;
}

/*
 * By number: mprotect() may be the preload object's, which would note the call, and we may hold the
 * gate.
 */
bool pool_open(void *p, size_t size)
{
	return !syscall(SYS_mprotect, p, size, PROT_READ | PROT_WRITE);
}

bool pool_locks_all(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char resident = 0;
	void *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return true;
	mincore(p, page, &resident);
	munmap(p, page);
	return resident & 1;
}

/*
 * The table can be accessed before pool_owns() knows it, so it may be taken for the program's and
 * be registered. That does no harm: it is never unmapped, so nobody waits.
 */
static bool add_table(void)
{
	struct table *t = map_named(NULL, TABLE_BYTES, 0);

	if (!t || !pool_open(t, TABLE_BYTES)) {
		if (t)
			munmap(t, TABLE_BYTES);
		return false;
	}
	atomic_store(&t->low, UINT64_MAX);
	put_in(t, (uint64_t)(uintptr_t)t, (uint64_t)(uintptr_t)t + TABLE_BYTES);
	t->next = atomic_load(&tables);
	while (!atomic_compare_exchange_weak(&tables, &t->next, t))
		;
	return true;
}

static bool own(uint64_t start, uint64_t end)
{
	do {
		for (struct table *t = atomic_load(&tables); t; t = t->next)
			if (put_in(t, start, end))
				return true;
	} while (add_table());
	return false;
}

/*
 * A place may get another mapping meanwhile. If its start is the same afterwards the end belongs to
 * it: places are emptied start first and filled end last.
 */
static bool is_in(const struct owned *o, uint64_t addr)
{
	const uint64_t start = atomic_load(&o->start);

	return addr >= start && addr < atomic_load(&o->end) && atomic_load(&o->start) == start;
}

/* The mapping's user alone empties the place, so no other mapping comes there meanwhile. */
static bool begins_at(const struct owned *o, uint64_t addr)
{
	return atomic_load(&o->start) == addr;
}

/* The place of the mapping that an address lies in, or that begins there. */
static struct owned *find(uint64_t addr, bool (*has)(const struct owned *o, uint64_t addr))
{
	for (struct table *t = atomic_load(&tables); t; t = t->next) {
		const size_t top = atomic_load(&t->top);

		if (addr < atomic_load(&t->low) || addr >= atomic_load(&t->high))
			continue;
		for (size_t i = 0; i < top; i++)
			if (has(&t->place[i], addr))
				return &t->place[i];
	}
	return NULL;
}

static void disown(uint64_t start)
{
	struct owned *o = find(start, begins_at);

	if (!o)
		return;
	atomic_store(&o->start, UINT64_MAX);
	atomic_store(&o->end, 0);
}

bool pool_owns(uint64_t addr)
{
	return find(addr, is_in);
}

static void *reserve(size_t size, int flags)
{
	void *p = map_named(NULL, size, flags);

	if (!p || own((uint64_t)(uintptr_t)p, (uint64_t)(uintptr_t)p + size))
		return p;
	pool_unmap(p, size);
	return NULL;
}

static void *map(size_t size, int flags)
{
	void *p = reserve(size, flags);

	if (!p)
		return NULL;
	if (flags & MAP_NORESERVE && pool_locks_all())
		syscall(SYS_mlock2, p, size, MLOCK_ONFAULT);
	if (pool_open(p, size))
		return p;
	pool_unmap(p, size);
	return NULL;
}

void *pool_reserve(size_t size)
{
	return reserve(size, 0);
}

void *pool_map(size_t size)
{
	return map(size, 0);
}

void *pool_map_lazily(size_t size)
{
	return map(size, MAP_NORESERVE);
}

bool pool_renew(void *ptr, size_t size)
{
	return map_named(ptr, size, MAP_NORESERVE | MAP_FIXED) == ptr;
}

void pool_discard(void *ptr, size_t size)
{
	/*
	 * By number: madvise() may be the preload object's, which would note the call, and the gate
	 * may be closed. The program may have locked all its memory, which is in the way before
	 * Linux 5.18.
	 */
	if (syscall(SYS_madvise, ptr, size, MADV_DONTNEED_LOCKED))
		syscall(SYS_madvise, ptr, size, MADV_DONTNEED);
}

void pool_unmap(void *ptr, size_t size)
{
	if (!ptr)
		return;
	disown((uint64_t)(uintptr_t)ptr);
	munmap(ptr, size);
}

void objpool_init(struct objpool *pool, size_t size)
{
	memset(pool, 0, sizeof(*pool));
	pthread_mutex_init(&pool->lock, NULL);
	pool->size = (size + 15) & ~(size_t)15;
}

static int grow(struct objpool *pool)
{
	char *p = pool_map(SLAB_BYTES);
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

static void *get_locked(struct objpool *pool)
{
	void *obj = NULL;

	pthread_mutex_lock(&pool->lock);
	if (pool->free || !grow(pool)) {
		obj = pool->free;
		pool->free = *(void **)obj;
	}
	pthread_mutex_unlock(&pool->lock);
	return obj;
}

void *objpool_get(struct objpool *pool)
{
	void *obj = atomic_load_explicit(&pool->spare, memory_order_relaxed);

	if (obj)
		obj = atomic_exchange(&pool->spare, NULL);
	if (!obj)
		obj = get_locked(pool);
	if (obj)
		memset(obj, 0, pool->size);
	return obj;
}

void objpool_put(struct objpool *pool, void *obj)
{
	void *none = NULL;

	if (!obj || (!atomic_load_explicit(&pool->spare, memory_order_relaxed) &&
		     atomic_compare_exchange_strong(&pool->spare, &none, obj)))
		return;
	pthread_mutex_lock(&pool->lock);
	*(void **)obj = pool->free;
	pool->free = obj;
	pthread_mutex_unlock(&pool->lock);
}

void objpool_fini(struct objpool *pool)
{
	struct slab *next;

	for (struct slab *s = pool->slabs; s; s = next) {
		next = s->next;
		pool_unmap(s, SLAB_BYTES);
	}
	pthread_mutex_destroy(&pool->lock);
}
