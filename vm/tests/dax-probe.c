// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * dax-probe DIR: makes a 4 MiB file in DIR, maps and writes it, and prints in one line what kind of
 * mapping that is: sync=yes|no (MAP_SYNC is taken), dax=yes|no (statx), huge=BYTES (mapped by PMD
 * entries, -1 if this kernel has no PAGEMAP_SCAN).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE ((size_t)4 << 20)
#define PMD_SIZE ((size_t)2 << 20)

/*
 * The kernel's struct pm_scan_arg and struct page_region: Debian 12's headers are older than they
 * are.
 */
struct region {
	uint64_t start, end, categories;
};

struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t inverted, mask, anyof_mask, return_mask;
};

#define SCAN_IOCTL _IOWR('f', 16, struct scan)
#define SCAN_HUGE (1u << 6)

static long long huge_bytes(char *start, size_t length)
{
	struct region regions[16];
	struct scan arg = {
		.size = sizeof(arg),
		.start = (uintptr_t)start,
		.end = (uintptr_t)start + length,
		.vec = (uintptr_t)regions,
		.vec_len = sizeof(regions) / sizeof(regions[0]),
		.mask = SCAN_HUGE,
		.return_mask = SCAN_HUGE,
	};
	long long bytes = 0;
	int fd, n, i;

	fd = open("/proc/self/pagemap", O_RDONLY);
	if (fd < 0)
		return -1;
	n = ioctl(fd, SCAN_IOCTL, &arg);
	close(fd);
	if (n < 0)
		return -1;
	for (i = 0; i < n; i++)
		bytes += (long long)(regions[i].end - regions[i].start);
	return bytes;
}

/* Reserves twice the alignment, so that the file can be mapped at a multiple of it. */
static char *aligned_address(void)
{
	char *p = mmap(NULL, SIZE + PMD_SIZE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	return (char *)(((uintptr_t)p + PMD_SIZE - 1) & ~(PMD_SIZE - 1));
}

int main(int argc, char **argv)
{
	struct statx attributes;
	int fd, sync = 1;
	char path[4096];
	char *at, *map;

	if (argc != 2 || snprintf(path, sizeof(path), "%s/probe", argv[1]) >= (int)sizeof(path)) {
		fprintf(stderr, "usage: dax-probe DIR\n");
		return 2;
	}
	at = aligned_address();
	fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);
	if (!at || fd < 0 || posix_fallocate(fd, 0, SIZE) ||
	    statx(fd, "", AT_EMPTY_PATH, 0, &attributes)) {
		fprintf(stderr, "dax-probe: %s: %s\n", path, strerror(errno));
		return 1;
	}
	map = mmap(at, SIZE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED_VALIDATE | MAP_SYNC, fd,
		   0);
	if (map == MAP_FAILED && errno == EOPNOTSUPP) {
		sync = 0;
		map = mmap(at, SIZE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED, fd, 0);
	}
	if (map == MAP_FAILED) {
		fprintf(stderr, "dax-probe: mmap: %s\n", strerror(errno));
		return 1;
	}
	memset(map, 1, SIZE);
	printf("sync=%s dax=%s huge=%lld\n", sync ? "yes" : "no",
	       attributes.stx_attributes & STATX_ATTR_DAX ? "yes" : "no", huge_bytes(map, SIZE));
	unlink(path);
	return 0;
}
