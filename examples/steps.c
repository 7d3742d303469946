// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Migration as a driver of the kernel writes it (hmm-devmem(7)): setup says which pages can go, the
 * driver takes a frame for each and copies, pages and finalize make it so. One page is touched in
 * between and stays. Then the driver empties a part of its memory by frames, and brings the rest
 * home by addresses.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <hmm/hmm.h>

#define PAGES 64

static struct hmm_mm *mm;
static struct hmm_devmem *devmem;
static char device; /* who owns the region */
static size_t page_size;
static uint64_t src[PAGES], dst[PAGES];
static uint64_t first; /* the lowest frame that is used */

static int open_device(void)
{
	const struct hmm_devmem_options options = { .size = sizeof(options),
						    .bytes = 2 << 20,
						    .owner = &device };
	int err = hmm_mm_attach(NULL, &mm);

	return err ? err : hmm_devmem_create(mm, &options, &devmem);
}

static struct hmm_migrate_vma describe(const char *memory, uint32_t flags)
{
	return (struct hmm_migrate_vma){ .size = sizeof(struct hmm_migrate_vma),
					 .flags = flags,
					 .mm = mm,
					 .start = (uintptr_t)memory,
					 .end = (uintptr_t)memory + PAGES * page_size,
					 .src = src,
					 .dst = dst,
					 .pgmap_owner = &device };
}

/* The device's engine copies what waits, or clears a page that has no source. */
static void alloc_and_copy(const struct hmm_migrate_vma *args)
{
	for (size_t i = 0; i < args->npages; i++) {
		const uint64_t from = hmm_migrate_pfn_to_addr(src[i]);
		uint64_t to;

		if (!(src[i] & HMM_MIGRATE_PFN_MIGRATE) ||
		    hmm_devmem_alloc(devmem, page_size, HMM_FOREVER, &to))
			continue; /* the page stays */
		if (from)
			memcpy((void *)(uintptr_t)to, (void *)(uintptr_t)from, page_size);
		else
			memset((void *)(uintptr_t)to, 0, page_size);
		if (!first || to < first)
			first = to;
		dst[i] = hmm_migrate_pfn(to) | HMM_MIGRATE_PFN_COPIED;
	}
}

static int to_device(char *memory)
{
	struct hmm_migrate_vma args = describe(memory, HMM_MIGRATE_VMA_SELECT_SYSTEM);
	int err = hmm_migrate_vma_setup(&args);

	if (err)
		return err;
	printf("%llu of %llu pages can go\n", (unsigned long long)args.cpages,
	       (unsigned long long)args.npages);
	alloc_and_copy(&args);
	*(volatile uint64_t *)memory = 1000; /* the program does not wait */
	err = hmm_migrate_vma_pages(&args);
	hmm_migrate_vma_finalize(&args);
	printf("%llu KiB have gone\n", (unsigned long long)(args.migrated * HMM_PAGE_SIZE >> 10));
	return err;
}

/* A quarter of what the device has. */
static int evict(void)
{
	int err = hmm_migrate_device_range(devmem, src, first, PAGES / 4);

	for (size_t i = 0; i < PAGES / 4; i++)
		dst[i] = HMM_MIGRATE_PFN_SYSTEM;
	if (!err)
		err = hmm_migrate_device_pages(devmem, src, dst, PAGES / 4, HMM_FOREVER);
	/* Does a frame hold something still? */
	for (size_t i = 0; i < PAGES / 4; i++)
		src[i] = hmm_migrate_pfn(first + i * page_size);
	if (!err)
		err = hmm_migrate_device_pfns(devmem, src, PAGES / 4);
	for (size_t i = 0; !err && i < PAGES / 4; i++)
		err = src[i] ? -EIO : 0;
	return err;
}

static int to_system(const char *memory)
{
	struct hmm_migrate_vma args = describe(memory, HMM_MIGRATE_VMA_SELECT_DEVICE_PRIVATE);
	int err = hmm_migrate_vma_setup(&args);

	if (err)
		return err;
	printf("%llu pages are on the device after an eviction\n", (unsigned long long)args.cpages);
	for (size_t i = 0; i < PAGES; i++)
		dst[i] = src[i] ? HMM_MIGRATE_PFN_SYSTEM : 0;
	err = hmm_migrate_vma_pages(&args);
	hmm_migrate_vma_finalize(&args);
	return err;
}

static int check(const char *memory)
{
	for (size_t i = 0; i < PAGES; i++) {
		if (*(const uint64_t *)(memory + i * page_size) != (i ? i : 1000))
			return -EIO;
	}
	return 0;
}

/* A frame that nobody uses goes back. */
static int give_back(void)
{
	uint64_t addr;
	int err = hmm_devmem_alloc(devmem, page_size, HMM_FOREVER, &addr);

	return err ? err : hmm_devmem_free(devmem, addr, page_size);
}

/* Pages that nobody can touch keep other mappings apart, see migrate.c. */
static char *map_apart(size_t bytes)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	char *room = mmap(NULL, bytes + 2 * page_size, PROT_NONE, flags, -1, 0);

	if (room == MAP_FAILED || mprotect(room + page_size, bytes, PROT_READ | PROT_WRITE))
		return NULL;
	return room + page_size;
}

int main(void)
{
	char *memory;
	int err;

	page_size = (size_t)sysconf(_SC_PAGESIZE);
	memory = map_apart(PAGES * page_size);
	if (!memory)
		return 1;
	for (size_t i = 0; i < PAGES; i++)
		*(uint64_t *)(memory + i * page_size) = i;
	err = open_device();
	if (err == -EOPNOTSUPP) {
		puts("no device memory here: the kernel moves no pages");
		hmm_mm_detach(mm);
		return 0;
	}
	if (!err)
		err = to_device(memory);
	if (!err)
		err = evict();
	if (!err)
		err = to_system(memory);
	if (!err)
		err = check(memory);
	if (!err)
		err = give_back();
	if (!err)
		err = hmm_devmem_destroy(devmem, HMM_FOREVER);
	hmm_mm_detach(mm);
	munmap(memory - page_size, (PAGES + 2) * page_size);
	if (err)
		fprintf(stderr, "steps: %s\n", strerror(-err));
	return err ? 1 : 0;
}
