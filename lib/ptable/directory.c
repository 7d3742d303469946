/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The directory of a table with the default geometry: where the leaf of a 2 MiB piece of address
 * space is, in one load instead of three. It is a direct-mapped cache of the upper levels:
 * independent look-ups at random cost 5.4 ns by it and 6.4 by the levels. A slot is 0 or
 *
 *	bit 63        1
 *	bits 62..42   bits 56..36 of the leaf's base; bits 35..21 are the slot's index
 *	bits 41..0    the leaf's address / 64
 *
 * The last leaf to come gets the slot; the others are found by the levels.
 *
 * Readers come without a lock. A leaf is named only while it is linked: who unlinks it drops it
 * here first, and it is not reused before the gate has been closed, as ptable.h says of nodes.
 */
#include "ptable/ptable.h"

static uint64_t word(const struct pt_node *leaf)
{
	return (leaf->base >> PT_DIR_SHIFT | PT_DIR_USED) << 42 | (uint64_t)(uintptr_t)leaf / 64;
}

void pt_dir_add(struct hmm_ptable *t, struct pt_node *leaf, uint64_t addr)
{
	leaf->base = addr & ~((1ULL << 21) - 1);
	if ((uint64_t)(uintptr_t)leaf >> 48) /* nothing is mapped there unasked */
		return;
	/* release: pairs with the acquire in pt_dir_leaf(): a leaf is seen filled in */
	atomic_store_explicit(&t->directory[pt_dir_index(addr)], word(leaf), memory_order_release);
}

void pt_dir_drop(struct hmm_ptable *t, const struct pt_node *node)
{
	_Atomic uint64_t *slot = &t->directory[pt_dir_index(node->base)];

	if (!t->standard)
		return;
	if (node->level + 1 == t->levels) {
		if (atomic_load_explicit(slot, memory_order_relaxed) == word(node))
			atomic_store_explicit(slot, 0, memory_order_release);
		return;
	}
	for (uint64_t i = node->lo; node->used && i <= node->hi; i++) {
		uint64_t child = atomic_load_explicit(&node->slot[i], memory_order_relaxed);

		if (pt_is_node(child))
			pt_dir_drop(t, pt_child(child));
	}
}
