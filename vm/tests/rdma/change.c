// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "change.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* Tells the data of one round from another's in every word. */
#define ROUND_FACTOR 0x9e3779b97f4a7c15u

_Noreturn void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static char *map_at(char *addr, size_t len, int flags)
{
	char *got =
		mmap(addr, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (got == MAP_FAILED || (addr && got != addr))
		die("mmap at %p: %s", (void *)addr, strerror(errno));
	return got;
}

static void make_map(struct buffer *buffer)
{
	buffer->addr = map_at(NULL, buffer->len, 0);
}

static void drop_map(struct buffer *buffer)
{
	munmap(buffer->addr, buffer->len);
}

static void remap_nothing(struct buffer *buffer)
{
	(void)buffer;
}

static void remap_munmap(struct buffer *buffer)
{
	munmap(buffer->addr, buffer->len);
	map_at(buffer->addr, buffer->len, MAP_FIXED_NOREPLACE);
}

/* What libc's own code does, and every runtime that comes without libc. */
static void remap_raw_munmap(struct buffer *buffer)
{
	syscall(SYS_munmap, buffer->addr, buffer->len);
	map_at(buffer->addr, buffer->len, MAP_FIXED_NOREPLACE);
}

static void remap_fixed(struct buffer *buffer)
{
	map_at(buffer->addr, buffer->len, MAP_FIXED);
}

static void remap_mremap_onto(struct buffer *buffer)
{
	char *from = map_at(NULL, buffer->len, 0);

	memset(from, 0x5a, buffer->len);
	from = mremap(from, buffer->len, buffer->len, MREMAP_MAYMOVE | MREMAP_FIXED, buffer->addr);
	if (from != buffer->addr)
		die("mremap onto the buffer: %s", strerror(errno));
}

static void remap_mremap_away(struct buffer *buffer)
{
	/* libc passes a fifth argument whether there is one or not, and the kernel looks at it. */
	char *away = mremap(buffer->addr, buffer->len, buffer->len,
			    MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);

	if (away == MAP_FAILED)
		die("mremap away: %s", strerror(errno));
	munmap(away, buffer->len);
}

static void remap_dontneed(struct buffer *buffer)
{
	if (madvise(buffer->addr, buffer->len, MADV_DONTNEED))
		die("MADV_DONTNEED: %s", strerror(errno));
}

static void remap_raw_dontneed(struct buffer *buffer)
{
	if (syscall(SYS_madvise, buffer->addr, buffer->len, MADV_DONTNEED))
		die("MADV_DONTNEED by system call: %s", strerror(errno));
}

static void remap_dontneed_locked(struct buffer *buffer)
{
	if (madvise(buffer->addr, buffer->len, MADV_DONTNEED_LOCKED))
		die("MADV_DONTNEED_LOCKED: %s", strerror(errno));
}

/* glibc maps blocks of its threshold one by one, and unmaps them at free(). */
static void make_malloc(struct buffer *buffer)
{
	mallopt(M_MMAP_THRESHOLD, (int)buffer->len);
	buffer->addr = malloc(buffer->len);
	if (!buffer->addr)
		die("no memory");
}

static void drop_malloc(struct buffer *buffer)
{
	free(buffer->addr);
}

static void remap_malloc(struct buffer *buffer)
{
	free(buffer->addr);
	make_malloc(buffer);
}

/* malloc() has enough of its own first, so that it takes nothing behind the buffer. */
static void make_brk(struct buffer *buffer)
{
	static bool padded;

	if (!padded) {
		mallopt(M_TOP_PAD, 4 << 20);
		mallopt(M_TRIM_THRESHOLD, 64 << 20);
		free(malloc(1 << 16));
		padded = true;
	}
	buffer->addr = sbrk((intptr_t)buffer->len);
	if (buffer->addr == (char *)-1)
		die("sbrk: %s", strerror(errno));
}

static void drop_brk(struct buffer *buffer)
{
	if (sbrk(0) != buffer->addr + buffer->len)
		die("somebody else moved the heap's end");
	sbrk(-(intptr_t)buffer->len);
}

static void remap_brk(struct buffer *buffer)
{
	drop_brk(buffer);
	make_brk(buffer);
}

const struct change changes[] = {
	{ "kept", make_map, remap_nothing, drop_map },
	{ "munmap", make_map, remap_munmap, drop_map },
	{ "mmap-fixed", make_map, remap_fixed, drop_map },
	{ "dontneed", make_map, remap_dontneed, drop_map },
	{ "malloc", make_malloc, remap_malloc, drop_malloc },
	{ "brk", make_brk, remap_brk, drop_brk },
	{ "raw-munmap", make_map, remap_raw_munmap, drop_map },
	{ "raw-dontneed", make_map, remap_raw_dontneed, drop_map },
	{ "dontneed-locked", make_map, remap_dontneed_locked, drop_map },
	{ "mremap-onto", make_map, remap_mremap_onto, drop_map },
	{ "mremap-away", make_map, remap_mremap_away, drop_map },
	{ .name = NULL },
};

bool change_is_wanted(const struct change *change, const char *list)
{
	size_t len = strlen(change->name);
	const char *at = list;

	if (!strcmp(list, "all"))
		return true;
	while ((at = strstr(at, change->name))) {
		if ((at == list || at[-1] == ',') && (at[len] == ',' || !at[len]))
			return true;
		at += len;
	}
	return false;
}

void buffer_fill(const struct buffer *buffer, uint64_t round)
{
	uint64_t *word = (uint64_t *)buffer->addr;
	size_t i;

	for (i = 0; i < buffer->len / sizeof(*word); i++)
		word[i] = (round + 1) * ROUND_FACTOR + i;
}

size_t buffer_differs(const struct buffer *buffer, uint64_t round)
{
	const uint64_t *word = (const uint64_t *)buffer->addr;
	size_t i, n = 0;

	for (i = 0; i < buffer->len / sizeof(*word); i++)
		n += word[i] != (round + 1) * ROUND_FACTOR + i;
	return n * sizeof(*word);
}
