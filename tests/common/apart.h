/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * apart: addresses that nothing else is mapped at by itself, also when they are holes. Threads of
 * the library and of sanitizers map memory whenever they want, and the kernel puts it into the hole
 * that a test has just made, if that is the next one that fits. It begins to search at one end of
 * the address space: here there is much more room on both sides.
 */
#ifndef TESTS_APART_H
#define TESTS_APART_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define APART_SIDE (64UL << 20)

/* The beginning of so many free bytes, on a boundary of 2 MiB. Sanitizers need not know of them. */
static inline char *place_apart(size_t bytes)
{
	const size_t align = 2UL << 20, room = bytes + 2 * APART_SIDE + align;
	const long p = syscall(SYS_mmap, NULL, room, PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_true(p != -1);
	assert_int_equal(syscall(SYS_munmap, p, room), 0);
	return (char *)(((uintptr_t)p + APART_SIDE + align - 1) & ~(align - 1));
}

/* As mmap(). Another thread may have found the same place. */
static inline char *map_fd_apart(size_t bytes, int prot, int flags, int fd, off_t offset)
{
	char *p;

	do
		p = mmap(place_apart(bytes), bytes, prot, flags | MAP_FIXED_NOREPLACE, fd, offset);
	while (p == MAP_FAILED && errno == EEXIST);
	return p;
}

static inline char *map_apart(size_t bytes, int prot)
{
	char *p = map_fd_apart(bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

#endif
