// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * libhmm-debug.so: with LIBHMM_DEBUG it tells the library what the program does with memory. An
 * allocation in a callback is misuse, and so is giving mirrored memory up inside a section
 * (hmm-debug(7)). It is for debugging only, as each allocation asks. Each wrapper asks and calls
 * the next definition, whatever allocator that is.
 *
 * To find the next definitions may allocate: that comes from a small pool, whose memory is never
 * freed.
 */
/* This file defines both names of mmap(), so the headers may not turn one into the other. */
#undef _FILE_OFFSET_BITS
#include "mm/preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static struct {
	__typeof__(malloc) *malloc;
	__typeof__(calloc) *calloc;
	__typeof__(realloc) *realloc;
	__typeof__(free) *free;
	__typeof__(posix_memalign) *posix_memalign;
	__typeof__(aligned_alloc) *aligned_alloc;
	__typeof__(memalign) *memalign;
	__typeof__(munmap) *munmap;
	__typeof__(mmap) *mmap;
	__typeof__(mremap) *mremap;
	__typeof__(madvise) *madvise;
} next;

static _Atomic(const struct debug_library *) library;
static _Thread_local int finding __attribute__((tls_model("initial-exec")));

void hmm_debug_join(const struct debug_library *joins)
{
	atomic_store(&library, joins);
}

void hmm_debug_leave(void)
{
	atomic_store(&library, NULL);
}

#define FIND(name) (next.name = (__typeof__(next.name))dlsym(RTLD_NEXT, #name))

static void __attribute__((constructor)) find_next(void)
{
	if (next.madvise || finding)
		return;
	finding++;
	FIND(malloc);
	FIND(calloc);
	FIND(realloc);
	FIND(free);
	FIND(posix_memalign);
	FIND(aligned_alloc);
	FIND(memalign);
	FIND(munmap);
	FIND(mmap);
	FIND(mremap);
	FIND(madvise);
	finding--;
}

#define SITE __builtin_return_address(0)

static void ask(const char *function, enum debug_memory what, const void *at, size_t bytes,
		const void *site)
{
	const struct debug_library *l = atomic_load_explicit(&library, memory_order_acquire);
	const uint64_t start = (uint64_t)(uintptr_t)at;

	if (l)
		l->call(function, what, start, start + bytes, site);
}

/* ---- while the next definitions are looked for -------------------------------------------- */

static char early[16384] __attribute__((aligned(16)));
static _Atomic size_t early_used;

static void *early_alloc(size_t size)
{
	const size_t at = atomic_fetch_add(&early_used, (size + 31) & ~15UL);

	if (at + size + 16 > sizeof(early))
		return NULL;
	*(size_t *)&early[at] = size;
	return &early[at + 16];
}

static bool is_early(const void *p)
{
	return (const char *)p >= early && (const char *)p < early + sizeof(early);
}

static bool must_be_early(void)
{
	if (!next.madvise)
		find_next();
	return finding;
}

/* ---- the allocator ------------------------------------------------------------------------ */

void *malloc(size_t size)
{
	if (must_be_early())
		return early_alloc(size);
	ask("malloc", DEBUG_MEMORY_TAKEN, NULL, 0, SITE);
	return next.malloc(size);
}

void *calloc(size_t n, size_t size)
{
	if (must_be_early())
		return early_alloc(n * size);
	ask("calloc", DEBUG_MEMORY_TAKEN, NULL, 0, SITE);
	return next.calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	if (must_be_early())
		return NULL;
	if (is_early(p)) {
		const size_t was = *(size_t *)((char *)p - 16);
		void *q = next.malloc(size);

		return q ? memcpy(q, p, was < size ? was : size) : NULL;
	}
	ask("realloc", DEBUG_MEMORY_GIVEN, p, p ? 1 : 0, SITE);
	return next.realloc(p, size);
}

void free(void *p)
{
	if (!p || is_early(p) || must_be_early())
		return;
	ask("free", DEBUG_MEMORY_GIVEN, p, 1, SITE);
	next.free(p);
}

int posix_memalign(void **p, size_t alignment, size_t size)
{
	if (must_be_early())
		return ENOMEM;
	ask("posix_memalign", DEBUG_MEMORY_TAKEN, NULL, 0, SITE);
	return next.posix_memalign(p, alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	if (must_be_early())
		return NULL;
	ask("aligned_alloc", DEBUG_MEMORY_TAKEN, NULL, 0, SITE);
	return next.aligned_alloc(alignment, size);
}

void *memalign(size_t alignment, size_t size)
{
	if (must_be_early())
		return NULL;
	ask("memalign", DEBUG_MEMORY_TAKEN, NULL, 0, SITE);
	return next.memalign(alignment, size);
}

/* ---- mappings ----------------------------------------------------------------------------- */

int munmap(void *addr, size_t len)
{
	find_next();
	ask("munmap", DEBUG_MEMORY_GIVEN, addr, len, SITE);
	return next.munmap(addr, len);
}

static void *map(void *addr, size_t len, int prot, int flags, int fd, off_t offset,
		 const void *site)
{
	find_next();
	if (flags & MAP_FIXED)
		ask("mmap", DEBUG_MEMORY_GIVEN, addr, len, site);
	return next.mmap(addr, len, prot, flags, fd, offset);
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return map(addr, len, prot, flags, fd, offset, SITE);
}

void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t offset)
{
	return map(addr, len, prot, flags, fd, offset, SITE);
}

void *mremap(void *addr, size_t len, size_t new_len, int flags, ...)
{
	void *to = NULL;
	va_list ap;

	if (flags & MREMAP_FIXED) {
		va_start(ap, flags);
		to = va_arg(ap, void *);
		va_end(ap);
	}
	find_next();
	ask("mremap", DEBUG_MEMORY_GIVEN, addr, len, SITE);
	return next.mremap(addr, len, new_len, flags, to);
}

int madvise(void *addr, size_t len, int advice)
{
	find_next();
	if (advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_REMOVE)
		ask("madvise", DEBUG_MEMORY_GIVEN, addr, len, SITE);
	return next.madvise(addr, len, advice);
}
