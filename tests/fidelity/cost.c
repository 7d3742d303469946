// SPDX-License-Identifier: GPL-2.0
/*
 * cost: figures of both targets and of the kernel's own interfaces, as ratios; the guest is
 * emulated.
 */
#include "cost.h"

#include <errno.h>
#include <fcntl.h>
#include <hmm/hmm.h>
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
#define ROUNDS 15
#define WARM_UP 5
#define PASSES 6

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

/* What the code takes, whatever else the machine did meanwhile. */
static uint64_t best(uint64_t *v, size_t n)
{
	median(v, n);
	return v[0];
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

/*
 * The same, and an array with a word for each page filled from it: what hmm_range_fault() has to
 * return.
 */
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

static uint64_t of_kernel(struct target *t, char *map)
{
	static struct entry entries[SIZE / 4096];
	uint64_t ns = 0;

	if (target_kernel.range(t, (uintptr_t)map, SIZE, 0, NULL, entries, NULL, &ns))
		return 0;
	return ns;
}

static int ignore(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	return 0;
}

static uint64_t of_libhmm(struct hmm_interval_notifier *ni, char *map, uint32_t flags,
			  uint64_t request)
{
	static uint64_t pfns[SIZE / 4096];
	struct hmm_range range = {
		.size = sizeof(range),
		.flags = flags,
		.notifier = ni,
		.start = (uintptr_t)map,
		.end = (uintptr_t)map + SIZE,
		.hmm_pfns = pfns,
		.default_flags = request,
	};
	uint64_t begin;

	begin = target_clock();
	if (hmm_range_fault(&range, HMM_FOREVER))
		return 0;
	return target_clock() - begin;
}

/*
 * The emulated processor's TLB begins with 256 places, of which the array of entries alone takes
 * 128, and grows only when it is flushed while it is full. Without this, a process in two has 13 us
 * of misses in each of its passes over the array.
 */
static void grow_tlb(void)
{
	const size_t size = 8ul << 20;
	size_t at;
	char *room;
	int i;

	for (i = 0; i < 8; i++) {
		room = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (room == MAP_FAILED)
			return;
		for (at = 0; at < size; at += 4096)
			*(volatile char *)(room + at) = 1;
		munmap(room, size);
	}
}

/* What is measured, in turn. */
enum what { RAW, WORDS, FRESH, KEPT, KERNEL, NR };

struct snapshots {
	char *map;
	int pagemap;
	struct hmm_mm *mm;
	struct hmm_interval_notifier *ni;
	struct target *kernel;
};

static uint64_t measure(enum what what, const struct snapshots *s)
{
	switch (what) {
	case RAW:
		return raw_scan(s->pagemap, s->map, SIZE);
	case WORDS:
		return scan_to_words(s->pagemap, s->map, SIZE);
	case FRESH:
		return of_libhmm(s->ni, s->map, HMM_RANGE_FRESH, 0);
	case KEPT:
		return of_libhmm(s->ni, s->map, 0, 0);
	default:
		return of_kernel(s->kernel, s->map);
	}
}

static void say_snapshots(uint64_t ns[NR][PASSES * ROUNDS])
{
	double m[NR];
	int i;

	for (i = 0; i < NR; i++) {
		m[i] = best(ns[i], PASSES * ROUNDS) / (SIZE / 4096.0);
		bad |= !m[i]; /* one failed */
	}
	printf("| snapshot of 256 MiB DAX by PMDs, ns a page, best of %d: PAGEMAP_SCAN to regions; "
	       "the same and a word for each page; libhmm into a fresh array; libhmm keeping "
	       "sticky "
	       "bits; kernel | %.2f; %.2f; %.2f; %.2f; %.2f | | |\n",
	       PASSES * ROUNDS, m[RAW], m[WORDS], m[FRESH], m[KEPT], m[KERNEL]);
	/* Measured: 1.53 to 1.56. */
	bound("libhmm's snapshot, an entry for each page, against PAGEMAP_SCAN to regions",
	      m[FRESH] / m[RAW], 1.7, true);
	bound("the same, keeping sticky bits, against PAGEMAP_SCAN and a word for each page",
	      m[KEPT] / m[WORDS], 1.5, true);
	printf("| libhmm's snapshot against the kernel's own | %.2f | | |\n", m[FRESH] / m[KERNEL]);
}

static void snapshots(char *map)
{
	static const struct hmm_interval_notifier_ops ops = { .size = sizeof(ops),
							      .invalidate = ignore };
	struct snapshots s = { .map = map,
			       .pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC) };
	uint64_t ns[NR][PASSES * ROUNDS];
	int i;

	if (s.pagemap < 0 || target_kernel.mirror((uintptr_t)map, SIZE, &s.kernel) ||
	    hmm_mm_attach(NULL, &s.mm) ||
	    hmm_interval_notifier_insert(s.mm, (uintptr_t)map, SIZE, &ops, NULL, &s.ni) ||
	    !of_libhmm(s.ni, map, 0, HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE)) {
		bad = 1;
		return;
	}
	/*
	 * One after the other, not in turn: the emulator's TLB holds what one of them touches, not
	 * what all do.
	 */
	for (i = 0; i < PASSES; i++)
		for (enum what what = 0; what < NR; what++) {
			grow_tlb();
			for (int j = -WARM_UP; j < ROUNDS; j++)
				ns[what][i * ROUNDS + (j < 0 ? 0 : j)] = measure(what, &s);
		}
	say_snapshots(ns);
	hmm_interval_notifier_remove(s.ni);
	hmm_mm_detach(s.mm);
	target_kernel.unmirror(s.kernel);
	close(s.pagemap);
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
	if (!map || !buf || target_libhmm.mirror((uintptr_t)map, size, &t)) {
		bad = 1;
		return;
	}
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

	if (!buf || target_libhmm.mirror((uintptr_t)map, SIZE, &t)) {
		bad = 1;
		return;
	}
	for (i = 0; i < ROUNDS; i++) {
		begin = target_clock();
		/*
		 * In the device's portions: how fast memcpy() is depends on the size, in an
		 * emulator by a factor of five.
		 */
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
