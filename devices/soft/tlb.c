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
	uint64_t gen;                           /* of the device when it was last emptied */
	_Atomic uint64_t hits, misses, flushes; /* written by its engine alone */
	struct tlb_entry entry[TLB_ENTRIES];
};

const uint32_t tlb_size = sizeof(struct tlb);

static inline void bump(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

void tlb_stats(const void *state, struct hmm_device_stats *stats)
{
	const struct tlb *tlb = state;

	stats->tlb_hits += atomic_load_explicit(&tlb->hits, memory_order_relaxed);
	stats->tlb_misses += atomic_load_explicit(&tlb->misses, memory_order_relaxed);
	stats->tlb_flushes += atomic_load_explicit(&tlb->flushes, memory_order_relaxed);
}

void tlb_enter(void *priv, void *state)
{
	const struct soft *soft = priv;
	struct tlb *tlb = state;
	uint64_t gen = atomic_load_explicit(&soft->flush_gen, memory_order_acquire);

	if (tlb->gen == gen)
		return;
	memset(tlb->entry, 0, sizeof(tlb->entry));
	tlb->gen = gen;
	bump(&tlb->flushes);
}

static void take_bit(struct tlb_entry *t, unsigned int page, uint64_t pte)
{
	if (!(pte & HMM_PFN_VALID))
		return;
	t->read |= (uint16_t)(1U << page);
	if (pte & HMM_PFN_WRITE)
		t->write |= (uint16_t)(1U << page);
}

/* The neighbours in the block are taken along: two cache lines of the table. */
static void fill(const struct soft *soft, struct tlb_entry *t, uint64_t block)
{
	uint64_t entries[BLOCK_PAGES];

	hmm_ptable_lookup_pages(soft->table, block << BLOCK_SHIFT, BLOCK_PAGES, entries);
	t->tag = block + 1;
	t->read = t->write = 0;
	for (unsigned int i = 0; i < BLOCK_PAGES; i++)
		take_bit(t, i, entries[i]);
}

/* Pages first to last of a block. */
static inline bool block_ok(const struct soft *soft, struct tlb *tlb, uint64_t block,
			    unsigned int first, unsigned int last, int prot)
{
	struct tlb_entry *t = &tlb->entry[block % TLB_ENTRIES];
	uint32_t mask = (2U << last) - (1U << first);

	if (__builtin_expect(t->tag == block + 1 && soft->tlb, 1)) {
		if (!(mask & ~(uint32_t)(prot & PROT_WRITE ? t->write : t->read))) {
			bump(&tlb->hits);
			return true;
		}
	}
	bump(&tlb->misses);
	fill(soft, t, block);
	return !(mask & ~(uint32_t)(prot & PROT_WRITE ? t->write : t->read));
}

int tlb_translate(void *priv, void *state, uint64_t va, size_t len, int prot, void **host)
{
	const struct soft *soft = priv;
	uint64_t last = va + len - 1;
	uint64_t block = va >> BLOCK_SHIFT;
	unsigned int first_page = (unsigned int)(va >> HMM_PAGE_SHIFT) % BLOCK_PAGES;
	unsigned int last_page = (unsigned int)(last >> HMM_PAGE_SHIFT) % BLOCK_PAGES;

	*host = (void *)(uintptr_t)va;
	if (__builtin_expect(block == last >> BLOCK_SHIFT, 1))
		return block_ok(soft, state, block, first_page, last_page, prot) ? 0 : -ENOENT;
	/* At most 64 KiB: two blocks. */
	if (block_ok(soft, state, block, first_page, BLOCK_PAGES - 1, prot) &&
	    block_ok(soft, state, last >> BLOCK_SHIFT, 0, last_page, prot))
		return 0;
	return -ENOENT;
}
