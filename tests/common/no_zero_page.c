// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Preloaded, it makes pagemap look as on a kernel without a shared zero page, where each read of
 * untouched memory makes a private page: the category of the zero page is gone, and the word of
 * such a page says that nobody else maps it. HMM_NO_SCAN=1 hides PAGEMAP_SCAN as well.
 */
#undef _FILE_OFFSET_BITS /* which gives pread the name of pread64 */
#undef _FORTIFY_SOURCE   /* which makes pread an inline function */
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#include <unistd.h>

#include "kernel/abi/pagemap.h"

#define PAGE 4096UL

static int (*real_ioctl)(int fd, unsigned long request, void *arg);
static ssize_t (*real_pread)(int fd, void *buf, size_t size, off_t at);

__attribute__((constructor)) static void find(void)
{
	*(void **)&real_ioctl = dlsym(RTLD_NEXT, "ioctl");
	*(void **)&real_pread = dlsym(RTLD_NEXT, "pread");
}

int ioctl(int fd, unsigned long request, ...)
{
	struct pm_scan_arg *scan;
	va_list ap;
	void *arg;
	int n;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request == PAGEMAP_SCAN && getenv("HMM_NO_SCAN")) {
		errno = ENOTTY;
		return -1;
	}
	n = real_ioctl(fd, request, arg);
	scan = arg;
	if (request == PAGEMAP_SCAN && scan->vec) {
		struct page_region *regions = (struct page_region *)(uintptr_t)scan->vec;

		for (int i = 0; i < n; i++)
			regions[i].categories &= ~(uint64_t)PAGE_IS_PFNZERO;
	}
	return n;
}

static int is_zero_page(int fd, uint64_t at)
{
	struct page_region region;
	struct pm_scan_arg scan = { .size = sizeof(scan),
				    .start = at,
				    .end = at + PAGE,
				    .vec = (uintptr_t)&region,
				    .vec_len = 1,
				    .category_mask = PAGE_IS_PFNZERO,
				    .return_mask = PAGE_IS_PFNZERO };

	return real_ioctl(fd, PAGEMAP_SCAN, &scan) == 1;
}

static int is_pagemap(int fd)
{
	char link[64], name[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, name, sizeof(name) - 1);
	return n > 8 && !memcmp(name + n - 8, "/pagemap", 8);
}

static ssize_t read_at(int fd, void *buf, size_t size, off_t at)
{
	ssize_t n = real_pread(fd, buf, size, at);
	uint64_t *words = buf;

	for (ssize_t i = 0; n > 0 && is_pagemap(fd) && i < n / 8; i++)
		if ((words[i] & (PM_WORD_PRESENT | PM_WORD_EXCLUSIVE)) == PM_WORD_PRESENT &&
		    is_zero_page(fd, ((uint64_t)at / 8 + (uint64_t)i) * PAGE))
			words[i] = (words[i] | PM_WORD_EXCLUSIVE) & ~PM_WORD_FILE;
	return n;
}

ssize_t pread(int fd, void *buf, size_t size, off_t at)
{
	return read_at(fd, buf, size, at);
}

ssize_t pread64(int fd, void *buf, size_t size, off_t at)
{
	return read_at(fd, buf, size, at);
}
