// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Copies between memory and a bounce buffer, page by page by the entries of the page table, in
 * sections. The bounce buffer is never mirrored, so nothing but the page itself can keep a section
 * waiting.
 *
 * Reads and writes of a page that has gone meanwhile are guarded. The event may not have been
 * handled yet: the entry is dropped, and the page is missing.
 */
#include "mirror.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* Pages in one section: 64 KiB. */
#define SECTION_PAGES 16
/* How often a page may be there for the fault and not for the access. */
#define VANISHED_MAX 1000

/*
 * Large, and mostly never touched, so that it does not lie in a hole that the program has made to
 * see what the device says of holes.
 */
#define SCRATCH_MIN (4ULL << 20)

static size_t scratch_bytes(const struct access *a)
{
	const size_t bytes = a->end - a->start + BLOCK_PAGES * sizeof(*a->pfns);

	return bytes < SCRATCH_MIN ? SCRATCH_MIN : bytes;
}

int access_init(struct access *a, struct mirror *m, uint64_t start, uint64_t end, int prot)
{
	int err;

	memset(a, 0, sizeof(*a));
	a->m = m;
	a->start = a->at = start;
	a->end = end;
	a->prot = prot;
	a->timeout = FAULT_NS;
	a->bounce = hmm_memory_alloc(scratch_bytes(a));
	a->pfns = (uint64_t *)(a->bounce + (end - start));
	err = a->bounce ? hmm_engine_create(m->mm, &a->engine) : -ENOMEM;
	if (err)
		access_fini(a);
	return err;
}

void access_fini(struct access *a)
{
	hmm_engine_destroy(a->engine);
	hmm_memory_free(a->bounce, scratch_bytes(a));
}

uint64_t access_pages(const struct access *a)
{
	return (a->at - a->start) / a->m->page_size;
}

int access_give(const struct access *a, uint64_t ptr)
{
	return hmm_copy_to_nofault((void *)(uintptr_t)ptr, a->bounce, a->end - a->start, NULL);
}

/* The page's place is the entry's, not the program's address. */
int access_page(const struct access *a, uint64_t addr, uint64_t entry)
{
	void *page = (void *)(uintptr_t)hmm_pfn_to_addr(entry);
	char *bounce = a->bounce + (addr - a->start);

	if (!(entry & HMM_PFN_VALID))
		return -ENOENT;
	if (!(a->prot & PROT_WRITE))
		return hmm_copy_from_nofault(bounce, page, HMM_PAGE_SIZE, NULL);
	return entry & HMM_PFN_WRITE ? hmm_copy_to_nofault(page, bounce, HMM_PAGE_SIZE, NULL)
				     : -ENOENT;
}

/* In a section. Returns how far it came in *at. */
static int copy_some(const struct access *a, uint64_t *at, uint64_t end)
{
	uint64_t entries[SECTION_PAGES];
	const uint64_t n = (end - *at) >> HMM_PAGE_SHIFT;

	hmm_ptable_lookup_pages(a->m->table, *at, (unsigned int)n, entries);
	for (uint64_t i = 0; i < n; i++, *at += HMM_PAGE_SIZE) {
		int err = access_page(a, *at, entries[i]);

		if (err)
			return err;
	}
	return 0;
}

/* A page of which the table has an entry was not there. */
static int vanished(struct access *a)
{
	if (++a->vanished > VANISHED_MAX)
		return -EFAULT;
	hmm_ptable_clear(a->m->table, a->at, a->at + HMM_PAGE_SIZE);
	return -ENOENT;
}

int access_copy(struct access *a, uint64_t end)
{
	int ret = 0;

	while (!ret && a->at < end) {
		const uint64_t most = a->at + SECTION_PAGES * HMM_PAGE_SIZE;
		uint64_t at = a->at;

		hmm_engine_enter(a->engine);
		ret = copy_some(a, &at, most < end ? most : end);
		/* What an overrun section did is done again. */
		if (!hmm_engine_exit(a->engine)) {
			ret = 0;
			continue;
		}
		a->at = at;
		if (ret == -EFAULT)
			ret = vanished(a);
	}
	return ret;
}

int access_run(struct access *a)
{
	for (;;) {
		int ret = access_copy(a, a->end);

		if (ret != -ENOENT)
			return ret;
		ret = fault_range(a, a->at, a->end);
		if (ret)
			return ret;
		a->faults++;
	}
}
