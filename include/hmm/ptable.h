/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * ptable: a page table for a device: look-ups without locks, entries of several sizes (4K, 2M, 1G or
 * the machine's own), memory that is never mirrored. An entry is an hmm_pfn word, or whatever 64 bits
 * with bit 63 set the device prefers.
 */
#ifndef HMM_PTABLE_H
#define HMM_PTABLE_H

#include <hmm/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct hmm_ptable_geometry - levels of the table, root first
 * @va_bits: width of addresses, up to 64
 * @page_shift: log2 bytes of the smallest entry
 * @levels: 1 to 6
 * @bits: index bits of each level; their sum plus @page_shift is at least @va_bits
 */
struct hmm_ptable_geometry {
	uint32_t va_bits;
	uint32_t page_shift;
	uint32_t levels;
	uint32_t bits[6];
};

/**
 * hmm_ptable_create() - an empty table
 * @geometry: NULL for 4K / 2M / 1G entries and 57-bit addresses
 * @table: out
 * Context: may block. Return: 0; -EINVAL; -ENOMEM. Since: 0.1.
 */
int hmm_ptable_create(const struct hmm_ptable_geometry *geometry, struct hmm_ptable **table);

/**
 * hmm_ptable_destroy() - free a table that nobody looks up; NULL is legal
 * Since: 0.1.
 */
void hmm_ptable_destroy(struct hmm_ptable *table);

/**
 * hmm_ptable_lookup() - the entry that maps an address
 * @table: the table
 * @addr: the address
 * @shift: out: log2 bytes that the entry maps; may be NULL
 *
 * No lock, no barrier beyond a dependent load. What it returns is current only inside an engine
 * section. Outside of one it may be called until the table is destroyed, but beside hmm_ptable_reclaim() (a mirror's
 * collection calls it for most devices) the answer may be that of another address. Return: the entry, 0 for none.
 * Since: 0.1.
 */
uint64_t hmm_ptable_lookup(const struct hmm_ptable *table, uint64_t addr, uint32_t *shift);

/**
 * hmm_ptable_lookup_pages() - the entries of consecutive pages, for a TLB that takes neighbours
 * along
 * @table: the table
 * @addr: of the first page, aligned to the smallest entry's size
 * @n: how many; the last must not lie beyond the end of the address space
 * @entries: out: @n words; a larger entry is given for each of its pages
 *
 * As @n calls of hmm_ptable_lookup(), in the time of about one for pages that lie together.
 * Context: as hmm_ptable_lookup(). Since: 0.1.
 */
void hmm_ptable_lookup_pages(const struct hmm_ptable *table, uint64_t addr, unsigned int n,
			     uint64_t *entries);

/**
 * hmm_ptable_set() - install @n consecutive entries
 * @table: the table
 * @addr: aligned to 1 << @shift
 * @shift: size of each entry, one of the geometry's
 * @entries: @n words with bit 63 set, or 0 to leave that slot as it is
 * @n: how many
 *
 * Writers exclude each other inside. Smaller entries under a larger one replace it and the other way
 * round. Allocates table pages from memory that is never mirrored. Context: inside a commit section.
 * Return: 0; -EINVAL; -ENOMEM. Since: 0.1.
 */
int hmm_ptable_set(struct hmm_ptable *table, uint64_t addr, uint32_t shift, const uint64_t *entries,
		   uint64_t n);

/**
 * hmm_ptable_clear() - remove every entry that overlaps a range
 * @table: the table
 * @start: first address
 * @end: one past the last; 0, UINT64_MAX for everything
 *
 * A larger entry that only overlaps is removed whole: dropping more is always right. Never
 * allocates, never fails, never blocks for long: legal in an invalidate callback.
 * Return: how many entries were removed. Since: 0.1.
 */
uint64_t hmm_ptable_clear(struct hmm_ptable *table, uint64_t start, uint64_t end);

/**
 * hmm_ptable_clear_bits() - take a bit from every entry that overlaps a range
 * @table: the table
 * @start: first address
 * @end: one past the last
 * @mask: bits to clear, HMM_PFN_WRITE for instance
 * Return: how many entries changed. Since: 0.1.
 */
uint64_t hmm_ptable_clear_bits(struct hmm_ptable *table, uint64_t start, uint64_t end,
			       uint64_t mask);

/**
 * hmm_ptable_reclaim() - free table pages that hold no entry
 * @table: the table
 * Context: with the gate closed or nobody looking up: a look-up beside it may find another address's entry. Their
 * pages are freed, the addresses are kept for the table's next ones. Return: bytes freed. Since: 0.1.
 */
uint64_t hmm_ptable_reclaim(struct hmm_ptable *table);

/**
 * hmm_ptable_walk() - call a function for each entry in a range, in order of address
 * Return: 0 or the first value other than 0 that @fn returned. Since: 0.1.
 */
int hmm_ptable_walk(struct hmm_ptable *table, uint64_t start, uint64_t end,
		    int (*fn)(uint64_t addr, uint32_t shift, uint64_t entry, void *arg), void *arg);

#ifdef __cplusplus
}
#endif
#endif
