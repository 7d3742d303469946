// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The TLB of an engine. It is direct mapped, and has an entry for each aligned 64 KiB, with a bit
 * for each page. A page without its bit is looked up in the page table.
 *
 * Entries are removed from the page table only with the gate closed, and tlb_enter() runs at the
 * beginning of each section. So inside a section the TLB holds nothing that the page table does not
 * have.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "soft.h"

#define TLB_ENTRIES 1024
#define BLOCK_SHIFT 16
#define BLOCK_PAGES 16

struct tlb_entry {
	uint64_t tag;  /* block number + 1, 0: empty */
	uint16_t read; /* a bit for each page */
	uint16_t write;
};

struct tlb {
	uint64_t gen; /* the device's flush_gen when the TLB was last emptied */
	struct tlb_entry entry[TLB_ENTRIES];
};

int tlb_create(struct runner *r, struct engine *e)
{
	e->cache = pool_map(sizeof(struct tlb));
	return e->cache ? 0 : -ENOMEM;
}

void tlb_destroy(struct runner *r, struct engine *e)
{
	pool_unmap(e->cache, sizeof(struct tlb));
	e->cache = NULL;
}

void tlb_enter(struct runner *r, struct engine *e)
{
	struct tlb *tlb = e->cache;
	uint64_t gen = atomic_load_explicit(&soft_of(r)->flush_gen, memory_order_acquire);

	if (tlb->gen == gen)
		return;
	memset(tlb->entry, 0, sizeof(tlb->entry));
	tlb->gen = gen;
	bump(&e->stats.tlb_flushes, 1);
}

static void take_bit(struct tlb_entry *t, unsigned int page, uint64_t pte)
{
	if (!(pte & HMM_PFN_VALID))
		return;
	t->read |= (uint16_t)(1U << page);
	if (pte & HMM_PFN_WRITE)
		t->write |= (uint16_t)(1U << page);
}

/* Walks the page table once and fills in the whole block: two cache lines. */
static void fill(const struct soft *soft, struct tlb_entry *t, uint64_t block)
{
	const struct pt_node *leaf = pt_dir_leaf(soft->table, block << BLOCK_SHIFT);
	const _Atomic uint64_t *slot;
	uint32_t level = 3;
	uint64_t pte = 0;

	if (leaf)
		slot = &leaf->slot[block * BLOCK_PAGES % 512];
	else
		pte = pt_find(soft->table, block << BLOCK_SHIFT, &level, &slot);
	t->tag = block + 1;
	t->read = t->write = 0;
	if (level == 3) {
		for (unsigned int i = 0; i < BLOCK_PAGES; i++)
			take_bit(t, i, atomic_load_explicit(&slot[i], memory_order_relaxed));
	} else if (pte & HMM_PFN_VALID) {
		t->read = UINT16_MAX;
		t->write = pte & HMM_PFN_WRITE ? UINT16_MAX : 0;
	}
}

/* Are pages `first` to `last` of a block in the TLB? Fills the block in if they are not. */
static inline bool block_ok(struct soft *soft, struct engine *e, uint64_t block, unsigned int first,
			    unsigned int last, int prot)
{
	struct tlb *tlb = e->cache;
	struct tlb_entry *t = &tlb->entry[block % TLB_ENTRIES];
	uint32_t mask = (2U << last) - (1U << first);

	if (__builtin_expect(t->tag == block + 1 && soft->tlb, 1)) {
		if (!(mask & ~(uint32_t)(prot & PROT_WRITE ? t->write : t->read))) {
			bump(&e->stats.tlb_hits, 1);
			return true;
		}
	}
	bump(&e->stats.tlb_misses, 1);
	fill(soft, t, block);
	return !(mask & ~(uint32_t)(prot & PROT_WRITE ? t->write : t->read));
}

int tlb_translate(struct runner *r, struct engine *e, uint64_t va, size_t len, int prot,
		  void **host)
{
	struct soft *soft = soft_of(r);
	uint64_t last = va + len - 1;
	uint64_t block = va >> BLOCK_SHIFT;
	unsigned int first_page = (unsigned int)(va >> HMM_PAGE_SHIFT) % BLOCK_PAGES;
	unsigned int last_page = (unsigned int)(last >> HMM_PAGE_SHIFT) % BLOCK_PAGES;

	*host = (void *)(uintptr_t)va;
	if (__builtin_expect(last > soft->table->last_addr, 0))
		return -ENOENT;
	if (__builtin_expect(block == last >> BLOCK_SHIFT, 1))
		return block_ok(soft, e, block, first_page, last_page, prot) ? 0 : -ENOENT;
	/* an access has at most 64 KiB, so it lies in two blocks */
	if (block_ok(soft, e, block, first_page, BLOCK_PAGES - 1, prot) &&
	    block_ok(soft, e, last >> BLOCK_SHIFT, 0, last_page, prot))
		return 0;
	return -ENOENT;
}
