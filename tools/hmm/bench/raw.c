// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hmm/hmm.h"

#include "../../../lib/kernel/abi/madvise.h"
#include "../../../lib/kernel/abi/pagemap.h"
#include "../../../lib/kernel/abi/uffd.h"
#include "raw.h"

#define ALIGN (2 * RAW_MIB)

void *raw_map(size_t size, bool huge)
{
	char *room = mmap(NULL, size + 2 * ALIGN, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *p, *end;

	if (room == MAP_FAILED)
		return NULL;
	p = (char *)(((uintptr_t)room + ALIGN) & ~(uintptr_t)(ALIGN - 1));
	end = p + size;
	/* A page of PROT_NONE stays on each side: apart.h says why. */
	if (p - HMM_PAGE_SIZE > room)
		munmap(room, (size_t)(p - HMM_PAGE_SIZE - room));
	munmap(end + HMM_PAGE_SIZE, (size_t)(room + 2 * ALIGN - HMM_PAGE_SIZE - p));
	if (mmap(p, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
	    p)
		return NULL;
	madvise(p, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	return p;
}

bool raw_fill(void *base, size_t size, bool huge)
{
	memset(base, 1, size);
	if (!huge)
		return true;
	madvise(base, size, MADV_COLLAPSE);
	return raw_is_huge(base, size);
}

bool raw_is_huge(void *base, size_t size)
{
	struct page_region other;
	struct pm_scan_arg scan = { .size = sizeof(scan),
				    .start = (uintptr_t)base,
				    .end = (uintptr_t)base + size,
				    .vec = (uintptr_t)&other,
				    .vec_len = 1,
				    .max_pages = 1,
				    .category_mask = PAGE_IS_PRESENT | PAGE_IS_HUGE,
				    .category_inverted = PAGE_IS_HUGE,
				    .return_mask = PAGE_IS_PRESENT };
	const int pagemap = raw_pagemap_open();
	int n;

	if (pagemap < 0)
		return false;
	n = ioctl(pagemap, PAGEMAP_SCAN, &scan);
	close(pagemap);
	return !n;
}

int raw_file(size_t size)
{
	const char *folder = getenv("TMPDIR");
	int fd =
		open(folder && *folder ? folder : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	static uint64_t block[8192];

	if (fd < 0)
		return -errno;
	for (size_t at = 0; at < size; at += sizeof(block)) {
		for (size_t i = 0; i < sizeof(block) / sizeof(block[0]); i++)
			block[i] = (at + i) * 0x9e3779b97f4a7c15ULL;
		if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block)) {
			close(fd);
			return -ENOSPC;
		}
	}
	return fd;
}

int raw_pagemap_open(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int read_words(int pagemap, const char *base, size_t size, size_t step)
{
	uint64_t words[512];
	size_t per_read = step == 4096 ? sizeof(words) / sizeof(words[0]) : 1;

	for (size_t at = 0; at < size; at += per_read * step) {
		size_t n = (size - at) / step < per_read ? (size - at) / step : per_read;

		if (pread(pagemap, words, n * sizeof(words[0]),
			  (off_t)(((uintptr_t)base + at) / 4096 * sizeof(words[0]))) < 0)
			return -errno;
	}
	return 0;
}

int raw_snapshot(int pagemap, const void *base, size_t size, bool words, size_t step)
{
	struct page_region regions[512];
	struct pm_scan_arg scan = { .size = sizeof(scan),
				    .start = (uintptr_t)base,
				    .end = (uintptr_t)base + size,
				    .vec = (uintptr_t)regions,
				    .vec_len = sizeof(regions) / sizeof(regions[0]),
				    .category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
				    .return_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED |
						   PAGE_IS_PFNZERO | PAGE_IS_HUGE };

	while (scan.start < scan.end) {
		if (ioctl(pagemap, PAGEMAP_SCAN, &scan) < 0)
			return errno == ENOTTY ? -EOPNOTSUPP : -errno;
		if (scan.walk_end <= scan.start)
			break;
		scan.start = scan.walk_end;
	}
	return words ? read_words(pagemap, base, size, step) : 0;
}

int raw_uffd(void)
{
	struct uffdio_api api = { .api = UFFD_API,
				  .features = UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_EVENT_REMAP |
					      UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_WP_ASYNC |
					      UFFD_FEATURE_WP_UNPOPULATED };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	int ret;

	if (fd < 0)
		fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (fd < 0)
		return -errno;
	if (!ioctl(fd, UFFDIO_API, &api))
		return fd;
	ret = errno == EINVAL ? -EOPNOTSUPP : -errno;
	close(fd);
	return ret;
}

int raw_uffd_register(int uffd, void *base, size_t size)
{
	struct uffdio_register reg = { .range = { (uintptr_t)base, size },
				       .mode = UFFDIO_REGISTER_MODE_WP };

	return ioctl(uffd, UFFDIO_REGISTER, &reg) ? -errno : 0;
}

int raw_uffd_probe(int uffd, const void *addr)
{
	struct uffdio_writeprotect wp = { .range = { (uintptr_t)addr, 0 } };

	return ioctl(uffd, UFFDIO_WRITEPROTECT, &wp) ? -errno : 0;
}

/*
 * poll() and then read(): a blocking read of a userfaultfd is woken together with the pollers, but
 * one that blocks could not be told to stop.
 */
void *raw_uffd_reader(void *arg)
{
	struct raw_reader *reader = arg;
	struct pollfd p = { reader->uffd, POLLIN, 0 };
	struct uffd_msg messages[16];

	while (!reader->stop)
		if (poll(&p, 1, 100) > 0 && read(reader->uffd, messages, sizeof(messages)) < 0 &&
		    errno != EAGAIN)
			break;
	return NULL;
}
