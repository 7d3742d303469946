// SPDX-License-Identifier: GPL-2.0
/* cost: figures of both targets and of the kernel's own interfaces, as ratios; the guest is emulated. */
#include "cost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sample.h"

#define PMD (2ul << 20)
#define SIZE (256ul << 20)
#define ROUNDS 9

#ifndef PAGEMAP_SCAN
struct page_region {
	__u64 start, end, categories;
};
struct pm_scan_arg {
	__u64 size, flags, start, end, walk_end, vec, vec_len, max_pages;
	__u64 category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#endif

/* PAGE_IS_WPALLOWED to PAGE_IS_HUGE, all that a snapshot may want to know. */
#define ALL_CATEGORIES 0x7f

static int bad;

static void bound(const char *what, double is, double limit, bool at_most)
{
	bool kept = at_most ? is <= limit : is >= limit;

	printf("| %s | %.2f | %s %.1f | %s |\n", what, is, at_most ? "at most" : "at least", limit,
	       kept ? "kept" : "**NOT KEPT**");
	bad |= !kept;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t median(uint64_t *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare_u64);
	return v[n / 2];
}

static char *map_dax(size_t size, int *fd)
{
	char path[300], *room, *map;

	snprintf(path, sizeof(path), "%s/cost.%d", dax_dir, getpid());
	*fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (*fd < 0)
		return NULL;
	unlink(path);
	room = mmap(NULL, size + 2 * PMD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		    -1, 0);
	if (fallocate(*fd, 0, 0, size) || room == MAP_FAILED)
		return NULL;
	map = mmap((void *)(((uintptr_t)room + PMD - 1) & ~(PMD - 1)), size, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_FIXED, *fd, 0);
	return map == MAP_FAILED ? NULL : map;
}

static uint64_t raw_scan(int pagemap, char *map, size_t size)
{
	static struct page_region regions[1024];
	struct pm_scan_arg arg = { .size = sizeof(arg),
				   .start = (uintptr_t)map,
				   .end = (uintptr_t)map + size,
				   .vec = (uintptr_t)regions,
				   .vec_len = 1024,
				   .return_mask = ALL_CATEGORIES };
	uint64_t begin = target_clock();

	if (ioctl(pagemap, PAGEMAP_SCAN, &arg) < 0)
		return 0;
	return target_clock() - begin;
}

/* The same, and an array with a word for each page filled from it: what hmm_range_fault() has to return. */
static uint64_t scan_to_words(int pagemap, char *map, size_t size)
{
	static uint64_t words[SIZE / 4096];
	uint64_t begin = target_clock(), i;

	if (!raw_scan(pagemap, map, size))
		return 0;
	for (i = 0; i < size / 4096; i++)
		words[i] = (words[i] & 0xff) | (((uintptr_t)map >> 12) + i);
	__asm__ volatile("" : : "r"(words) : "memory");
	return target_clock() - begin;
}

static uint64_t one_range(const struct target_ops *ops, struct target *t, char *map, size_t size,
			  unsigned int request)
{
	static struct entry entries[SIZE / 4096];
	uint64_t ns = 0;

	if (ops->range(t, (uintptr_t)map, size, request, NULL, entries, NULL, &ns))
		return 0;
	return ns;
}

static void snapshots(char *map)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t raw[ROUNDS], words[ROUNDS], ours[ROUNDS], kernel[ROUNDS];
	struct target *k, *l;
	int i;

	if (target_kernel.mirror((uintptr_t)map, SIZE, &k) ||
	    target_libhmm.mirror((uintptr_t)map, SIZE, &l))
		return;
	one_range(&target_libhmm, l, map, SIZE, REQ_FAULT | REQ_WRITE);
	for (i = 0; i < ROUNDS; i++) {
		raw[i] = raw_scan(pagemap, map, SIZE);
		words[i] = scan_to_words(pagemap, map, SIZE);
		ours[i] = one_range(&target_libhmm, l, map, SIZE, 0);
		kernel[i] = one_range(&target_kernel, k, map, SIZE, 0);
	}
	printf("| snapshot of 256 MiB DAX by PMDs, ns a page: PAGEMAP_SCAN to regions; to a word a "
	       "page; libhmm; kernel | %.2f; %.2f; "
	       "%.2f; %.2f | | |\n",
	       median(raw, ROUNDS) / (SIZE / 4096.0), median(words, ROUNDS) / (SIZE / 4096.0),
	       median(ours, ROUNDS) / (SIZE / 4096.0), median(kernel, ROUNDS) / (SIZE / 4096.0));
	if (raw[0])
		printf("| libhmm's snapshot against PAGEMAP_SCAN to regions | %.2f | | |\n",
		       median(ours, ROUNDS) / (double)median(raw, ROUNDS));
	if (raw[0])
		bound("libhmm's snapshot against PAGEMAP_SCAN to a word a page",
		      median(ours, ROUNDS) / (double)median(words, ROUNDS), 1.5, true);
	target_kernel.unmirror(k);
	target_libhmm.unmirror(l);
	close(pagemap);
}

static long cached_kib(void)
{
	long value = -1;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	while (f && value < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "Cached: %ld", &value);
	if (f)
		fclose(f);
	return value;
}

static void cold_faults(void)
{
	const size_t size = 64ul << 20;
	unsigned int faults = 0;
	struct target *t;
	char *map, *buf = malloc(size);
	long before;
	int fd;

	map = map_dax(size, &fd);
	if (!map || !buf || target_libhmm.mirror((uintptr_t)map, size, &t))
		return;
	memset(buf, 1, size);
	before = cached_kib();
	if (target_libhmm.access(t, (uintptr_t)map, buf, size, true, &faults))
		faults = 9999;
	bound("device faults for each PMD of a cold 64 MiB write", faults / (double)(size / PMD), 1,
	      true);
	bound("page cache grown by it, share of 64 MiB",
	      (cached_kib() - before) / (double)(size / 1024), 0.1, true);
	target_libhmm.unmirror(t);
	munmap(map, size);
	close(fd);
	free(buf);
}

static void throughput(char *map)
{
	const size_t chunk = 4ul << 20, portion = 64ul << 10;
	uint64_t cpu[ROUNDS], device[ROUNDS], begin;
	struct target *t;
	char *buf = malloc(chunk);
	size_t at;
	int i;

	if (!buf || target_libhmm.mirror((uintptr_t)map, SIZE, &t))
		return;
	for (i = 0; i < ROUNDS; i++) {
		begin = target_clock();
		/* In the device's portions: how fast memcpy() is depends on the size, in an emulator by a factor of five. */
		for (at = 0; at < SIZE; at += portion)
			memcpy(buf + at % chunk, map + at, portion);
		cpu[i] = target_clock() - begin;
		begin = target_clock();
		for (at = 0; at < SIZE; at += chunk)
			if (target_libhmm.access(t, (uintptr_t)map + at, buf, chunk, false, NULL))
				bad = 1;
		device[i] = target_clock() - begin;
	}
	bound("device throughput on DAX against the CPU's, reading",
	      median(cpu, ROUNDS) / (double)median(device, ROUNDS), 0.8, false);
	target_libhmm.unmirror(t);
	free(buf);
}

int cost_report(void)
{
	char *map;
	int fd;

	if (!dax_dir)
		return 0;
	printf("## Cost\n\nThe guest is emulated: ratios only. Medians of %d.\n\n| | figure | "
	       "bound | |\n|---|---|---|---|\n",
	       ROUNDS);
	map = map_dax(SIZE, &fd);
	if (!map) {
		printf("| a DAX file of 256 MiB | %s | | **NOT KEPT** |\n", strerror(errno));
		return 1;
	}
	snapshots(map);
	throughput(map);
	munmap(map, SIZE);
	close(fd);
	cold_faults();
	return bad;
}
