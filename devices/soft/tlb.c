// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The TLB of an engine. It is direct mapped, and has an entry for each aligned 64 KiB, with a bit
 * for each page. A page without its bit is looked up in the page table.
 *
 * A page is where the program has it, or elsewhere, in device memory. What an entry has bits for
 * lies together: `away` further on than the program's addresses.
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
	uint64_t away; /* added to the program's address */
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

/* An entry of a larger page, or of a part of one, has the address of any page of it. */
static uint64_t away(uint64_t pte, uint64_t va)
{
	const uint64_t in_page = (HMM_PAGE_SIZE << hmm_pfn_to_map_order(pte)) - 1;

	return ((hmm_pfn_to_addr(pte) & ~in_page) | (va & in_page)) - va;
}

/*
 * The neighbours in the block are taken along, as far as they lie where page `first` does: two
 * cache lines of the table. Returns which pages may be accessed with that permission.
 */
static uint32_t fill(const struct soft *soft, struct tlb_entry *t, uint64_t block,
		     unsigned int first, int prot)
{
	const uint64_t base = block << BLOCK_SHIFT;
	uint64_t entries[BLOCK_PAGES];
	uint32_t may = 0;

	hmm_ptable_lookup_pages(soft->table, base, BLOCK_PAGES, entries);
	t->tag = block + 1;
	t->away = away(entries[first], base + (uint64_t)first * HMM_PAGE_SIZE);
	t->read = t->write = 0;
	for (unsigned int i = 0; i < BLOCK_PAGES; i++) {
		const uint64_t pte = entries[i];
		const uint32_t bit = 1U << i;

		if (!(pte & HMM_PFN_VALID))
			continue;
		if (pte & HMM_PFN_WRITE || !(prot & PROT_WRITE))
			may |= bit;
		if (away(pte, base + (uint64_t)i * HMM_PAGE_SIZE) != t->away)
			continue;
		t->read |= (uint16_t)bit;
		if (pte & HMM_PFN_WRITE)
			t->write |= (uint16_t)bit;
	}
	return may;
}

/* Pages first to last of a block. 0; -ENOENT; -EXDEV: they do not lie together. */
static inline int block_find(const struct soft *soft, struct tlb *tlb, uint64_t block,
			     unsigned int first, unsigned int last, int prot, uint64_t *to)
{
	struct tlb_entry *t = &tlb->entry[block % TLB_ENTRIES];
	uint32_t mask = (2U << last) - (1U << first);
	uint32_t may;

	if (__builtin_expect(t->tag == block + 1 && soft->tlb, 1)) {
		if (!(mask & ~(uint32_t)(prot & PROT_WRITE ? t->write : t->read))) {
			bump(&tlb->hits);
			*to = t->away;
			return 0;
		}
	}
	bump(&tlb->misses);
	may = fill(soft, t, block, first, prot);
	*to = t->away;
	if (mask & ~may)
		return -ENOENT;
	return mask & ~(uint32_t)(prot & PROT_WRITE ? t->write : t->read) ? -EXDEV : 0;
}

int tlb_translate(void *priv, void *state, uint64_t va, size_t len, int prot, void **host)
{
	const struct soft *soft = priv;
	uint64_t last = va + len - 1;
	uint64_t block = va >> BLOCK_SHIFT;
	unsigned int first_page = (unsigned int)(va >> HMM_PAGE_SHIFT) % BLOCK_PAGES;
	unsigned int last_page = (unsigned int)(last >> HMM_PAGE_SHIFT) % BLOCK_PAGES;
	uint64_t to;
	uint64_t rest;
	int second;
	int ret;

	if (__builtin_expect(block == last >> BLOCK_SHIFT, 1)) {
		ret = block_find(soft, state, block, first_page, last_page, prot, &to);
		*host = (void *)(uintptr_t)(va + to);
		return ret;
	}
	/* At most 64 KiB: two blocks. */
	ret = block_find(soft, state, block, first_page, BLOCK_PAGES - 1, prot, &to);
	*host = (void *)(uintptr_t)(va + to);
	if (ret == -ENOENT)
		return ret;
	second = block_find(soft, state, last >> BLOCK_SHIFT, 0, last_page, prot, &rest);
	if (second)
		return second;
	return ret || to != rest ? -EXDEV : 0;
}
