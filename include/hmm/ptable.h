/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * ptable: a page table for a device: look-ups without locks, entries of several sizes (4K, 2M and
 * 1G, or the machine's own), memory that is never mirrored. An entry is a word of HMM_PFN_* bits,
 * or any 64 bits with bit 63 set that the device prefers.
 */
#ifndef HMM_PTABLE_H
#define HMM_PTABLE_H

#include <hmm/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct hmm_ptable_geometry - levels of the table, root first
 * @va_bits: width of addresses, 1 to 64
 * @page_shift: log2 bytes of the smallest entry, at most 30
 * @levels: 1 to 6
 * @bits: index bits of each level, 1 to 24. Their sum plus @page_shift is at least @va_bits and at
 *	most 64
 *
 * Since: 0.1.
 */
struct hmm_ptable_geometry {
	uint32_t va_bits;
	uint32_t page_shift;
	uint32_t levels;
	uint32_t bits[6];
};

/**
 * hmm_ptable_create() - an empty table
 * @geometry: NULL for entries of 4K, 2M and 1G, and addresses of 57 bits
 * @table: out
 *
 * Context: may block; not from a callback.
 * Return: 0; -EINVAL a bad geometry; -ENOMEM no memory.
 * Ownership: *table is the caller's until hmm_ptable_destroy().
 * Since: 0.1.
 */
int hmm_ptable_create(const struct hmm_ptable_geometry *geometry, struct hmm_ptable **table);

/**
 * hmm_ptable_destroy() - free a table
 * @table: nobody looks it up any more; NULL is legal
 *
 * Context: may block; not from a callback. In a forked child it does nothing.
 * Since: 0.1.
 */
void hmm_ptable_destroy(struct hmm_ptable *table);

/**
 * hmm_ptable_lookup() - the entry that maps an address
 * @table: the table
 * @addr: the address
 * @shift: out: log2 bytes that the entry maps; may be NULL
 *
 * It takes no lock and needs no barrier. Only inside an engine section is the answer current.
 *
 * Outside of one it may be called until the table is destroyed, but not beside
 * hmm_ptable_reclaim(), which the collection of a mirror calls for most devices: the answer may
 * then be that of another address.
 * Context: any thread. Never blocks.
 * Return: the entry; 0 for none.
 * Since: 0.1.
 */
uint64_t hmm_ptable_lookup(const struct hmm_ptable *table, uint64_t addr, uint32_t *shift);

/**
 * hmm_ptable_lookup_pages() - the entries of pages in a row, for a TLB that takes neighbours along
 * @table: the table
 * @addr: of the first page, aligned to the smallest entry's size
 * @n: how many; the last must not lie beyond the end of the address space
 * @entries: out: @n words; a larger entry is given for each of its pages
 *
 * As @n calls of hmm_ptable_lookup(), in the time of about one for pages that lie together.
 * Context: as hmm_ptable_lookup().
 * Since: 0.1.
 */
void hmm_ptable_lookup_pages(const struct hmm_ptable *table, uint64_t addr, unsigned int n,
			     uint64_t *entries);

/**
 * hmm_ptable_set() - install entries
 * @table: the table
 * @addr: of the first, aligned to 1 << @shift
 * @shift: log2 bytes of each entry, one of the geometry's sizes
 * @entries: @n words with bit 63 set, or 0 to leave that slot as it is
 * @n: how many, for addresses in a row
 *
 * A large entry replaces the smaller ones below it, and smaller ones replace a large one. Memory
 * for the table is never mirrored. On an error some may have been installed.
 * Context: inside a commit section; several threads may write at once.
 * Return: 0; -EINVAL a size that the table has not, a bad address, or a word without bit 63;
 * -ENOMEM no memory; -ESRCH a forked child.
 * Since: 0.1.
 */
int hmm_ptable_set(struct hmm_ptable *table, uint64_t addr, uint32_t shift, const uint64_t *entries,
		   uint64_t n);

/**
 * hmm_ptable_clear() - remove every entry that overlaps a range
 * @table: the table
 * @start: first address
 * @end: one past the last; 0 and UINT64_MAX clear everything
 *
 * A large entry that overlaps is removed whole: dropping more is always right. It never allocates,
 * never fails, and never blocks for long, so it may be called by an invalidate callback.
 * Context: any thread, callbacks included.
 * Return: how many entries were removed.
 * Since: 0.1.
 */
uint64_t hmm_ptable_clear(struct hmm_ptable *table, uint64_t start, uint64_t end);

/**
 * hmm_ptable_clear_bits() - take bits from every entry that overlaps a range
 * @table: the table
 * @start: first address
 * @end: one past the last
 * @mask: the bits, HMM_PFN_WRITE for instance
 *
 * Context: as hmm_ptable_clear().
 * Return: how many entries changed.
 * Since: 0.1.
 */
uint64_t hmm_ptable_clear_bits(struct hmm_ptable *table, uint64_t start, uint64_t end,
			       uint64_t mask);

/**
 * hmm_ptable_reclaim() - free the table's pages that hold no entry
 * @table: the table
 *
 * The memory is freed; its addresses are kept for the table's next pages.
 * Context: with the gate closed, or while nobody looks the table up: a look-up beside it may find
 * the entry of another address.
 * Return: bytes freed.
 * Since: 0.1.
 */
uint64_t hmm_ptable_reclaim(struct hmm_ptable *table);

/**
 * hmm_ptable_walk() - call a function for each entry in a range, in order of address
 * @table: the table
 * @start: first address
 * @end: one past the last; 0 and UINT64_MAX walk everything
 * @fn: 0 to go on, else its value ends the walk and is returned. No lock is held
 * @arg: handed to @fn
 *
 * The walk is no snapshot: entries may come and go meanwhile.
 * Context: any thread outside callbacks; may block.
 * Return: 0, or what @fn returned; -ESRCH a forked child.
 * Since: 0.1.
 */
int hmm_ptable_walk(struct hmm_ptable *table, uint64_t start, uint64_t end,
		    int (*fn)(uint64_t addr, uint32_t shift, uint64_t entry, void *arg), void *arg);

#ifdef __cplusplus
}
#endif
#endif
