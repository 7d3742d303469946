// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The directory of a table with the default geometry: one load instead of three finds the leaf of a
 * 2 MiB piece of address space. It is a direct-mapped cache of the upper levels. Independent
 * look-ups at random cost 5.4 ns with it and 6.4 without. A slot is 0 or
 *
 *	bit 63        1
 *	bits 62..42   bits 56..36 of the leaf's base; bits 35..21 are the slot's index
 *	bits 41..0    the leaf's address / 64
 *
 * The newest of the leaves that share a slot has it. The others are found through the levels.
 *
 * Readers take no lock. A slot names a leaf only while the leaf is linked: code that unlinks it
 * calls pt_dir_drop() first. The leaf is not reused before the gate has been closed, see ptable.h.
 */
#include "ptable/ptable.h"

static uint64_t word(const struct pt_node *leaf)
{
	return (leaf->base >> PT_DIR_SHIFT | PT_DIR_USED) << 42 | (uint64_t)(uintptr_t)leaf / 64;
}

void pt_dir_add(struct hmm_ptable *t, struct pt_node *leaf, uint64_t addr)
{
	leaf->base = addr & ~((1ULL << 21) - 1);
	/* the kernel maps nothing there unless it is asked to */
	if ((uint64_t)(uintptr_t)leaf >> 48)
		return;
	/* release: pairs with the acquire in pt_dir_leaf(), which finds the leaf filled in */
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
