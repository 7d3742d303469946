/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What a read of untouched anonymous memory makes: a mapping of the page of zeroes that all share,
 * which nobody may write to; or, on a kernel that shares none, at once a private page. Probed, as
 * tests must hold on both.
 */
#ifndef TESTS_ZERO_PAGE_H
#define TESTS_ZERO_PAGE_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/abi/pagemap.h"

/* Does a read of so much, a page or a huge one, make a page that is the reader's alone? */
static inline bool reads_make_private(size_t bytes)
{
	char *room =
		mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *p = (char *)(((uintptr_t)room + bytes - 1) & ~(uintptr_t)(bytes - 1));
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t word = 0;
	bool private;
	ssize_t n;

	madvise(room, 2 * bytes, bytes > 4096 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	(void)*(volatile char *)p;
	n = pread(fd, &word, sizeof(word), (off_t)((uintptr_t)p / 4096 * sizeof(word)));
	close(fd);
	munmap(room, 2 * bytes);
	private = n == sizeof(word) && word & PM_WORD_PRESENT && word & PM_WORD_EXCLUSIVE;
	/* Where it is pretended (no_zero_page.c) it must be seen. */
	if (getenv("HMM_TEST_NO_ZERO_PAGE") && !private)
		abort();
	return private;
}

#endif
