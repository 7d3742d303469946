/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* mappings: memory of every kind, with the files behind it. */
#ifndef TESTS_MAPPINGS_H
#define TESTS_MAPPINGS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/apart.h"
#include "common/child.h"
#include "common/zero_page.h"
#include "space/space.h"
#include "kernel/abi/madvise.h"

#define PAGE 4096UL
#define MIB (1UL << 20)
#define RW (PROT_READ | PROT_WRITE)

static inline uint64_t at(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

/* A mapping of its own, on a boundary of 2 MiB: nothing is beside it. NULL: errno says why. */
static inline char *map_fd(size_t bytes, int prot, int flags, int fd, off_t offset)
{
	char *p = map_fd_apart(bytes, prot, flags, fd, offset);

	return p == MAP_FAILED ? NULL : p;
}

static inline char *map_anon(size_t bytes, int prot)
{
	return map_fd(bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* A touch makes one page, also where the kernel makes larger ones of several. */
static inline char *map_anon_small(size_t bytes, int prot)
{
	char *p = map_anon(bytes, prot);

	madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
}

/* An unlinked or named file of some bytes on the filesystem of the build folder. */
static inline int make_file(char *path, size_t bytes)
{
	int fd;

	strcpy(path, "hmm-unit-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	for (size_t done = 0; done < bytes; done += PAGE) {
		char page[PAGE];

		memset(page, (int)(done / PAGE + 1), PAGE);
		assert_int_equal(write(fd, page, PAGE), PAGE);
	}
	return fd;
}

static inline int make_memfd(size_t bytes, unsigned int flags)
{
	int fd = memfd_create("hmm-unit", MFD_CLOEXEC | flags);

	if (fd >= 0 && ftruncate(fd, (off_t)bytes)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Reserve 2 MiB huge pages if we may; how many there are free. */
static inline long huge_pages(long want)
{
	static const char path[] = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
	static const char avail[] = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
	long n = 0;
	FILE *f;

	f = want >= 0 ? fopen(path, "w") : NULL;
	if (f) {
		fprintf(f, "%ld", want);
		fclose(f);
	}
	f = fopen(avail, "r");
	if (f) {
		if (fscanf(f, "%ld", &n) != 1)
			n = 0;
		fclose(f);
	}
	return n;
}

/*
 * Memory of 2 MiB huge pages, of which there shall be so many; NULL: they are not to be had. Other
 * programs, and other tests, take them and give them back to the kernel meanwhile.
 */
static inline char *map_huge(size_t bytes, int flags, long want)
{
	char *p = NULL;

	for (int i = 0; !p && i < 200 && huge_pages(want) >= (long)(bytes / (2 * MIB)); i++) {
		p = map_fd(bytes, RW, flags | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
		if (!p)
			usleep(10000);
	}
	return p;
}

#endif
