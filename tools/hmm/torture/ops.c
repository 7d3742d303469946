// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The table of hostile operations, and which of them a slot is subject to. */
#include "ops.h"

#define SHARED (K(SHMEM) | K(SYSV) | K(FILE))
#define MOVABLE (KINDS_PRIVATE & ~K(STACK))

const struct op ops_table[] = {
	{ "munmap", HMM_OP_MUNMAP, KINDS_PRIVATE | SHARED, 24, EFFECT_BEFORE, false, PAGES_ALL,
	  op_munmap },
	{ "mmap(MAP_FIXED)", HMM_OP_MAP_FIXED, KINDS_PRIVATE | K(SHMEM) | K(FILE), 20,
	  EFFECT_BEFORE, false, PAGES_ALL, op_map_fixed },
	{ "mremap away", HMM_OP_MREMAP_MOVE, MOVABLE | SHARED, 10, EFFECT_BEFORE, false, PAGES_ALL,
	  op_mremap_away },
	{ "mremap onto", HMM_OP_MREMAP_MOVE, MOVABLE | SHARED, 10, EFFECT_BEFORE, false, PAGES_ALL,
	  op_mremap_onto },
	{ "mremap shrink", HMM_OP_MREMAP_SHRINK, MOVABLE | SHARED, 8, EFFECT_BEFORE, false,
	  PAGES_TAIL_KEEP, op_mremap_shrink },
	{ "mremap dontunmap", HMM_OP_MREMAP_DONTUNMAP, K(ANON) | K(THP), 8, EFFECT_BEFORE, false,
	  PAGES_ALL, op_mremap_dontunmap },
	{ "brk", HMM_OP_BRK_SHRINK, K(BRK), 40, EFFECT_BEFORE, false, PAGES_TAIL, op_brk },
	{ "stack growth", HMM_OP_MUNMAP, K(STACK), 40, EFFECT_BEFORE, false, PAGES_HEAD, op_stack },
	{ "shmdt", HMM_OP_SHMDT, K(SYSV), 60, EFFECT_BEFORE, true, PAGES_ALL, op_shmdt },
	{ "MADV_DONTNEED", HMM_OP_MADV_DONTNEED, KINDS_PRIVATE | SHARED | K(BRK), 16,
	  EFFECT_AFTER_READ, false, PAGES_ANY, op_dontneed },
	{ "DONTNEED of 12 MiB", HMM_OP_MADV_DONTNEED, K(WIDE), 20, EFFECT_NONE, true, PAGES_ALL,
	  op_dontneed_wide, true },
	{ "MADV_DONTNEED_LOCKED", HMM_OP_MADV_DONTNEED, KINDS_PRIVATE | SHARED, 6,
	  EFFECT_AFTER_READ, false, PAGES_ANY, op_dontneed_locked },
	{ "process_madvise", HMM_OP_MADV_DONTNEED, KINDS_PRIVATE, 4, EFFECT_AFTER_READ, false,
	  PAGES_ANY, op_process_madvise },
	{ "MADV_FREE", HMM_OP_MADV_FREE, K(ANON) | K(THP) | K(BRK), 6, EFFECT_NONE, false,
	  PAGES_ANY, op_free },
	{ "MADV_REMOVE", HMM_OP_MADV_REMOVE, SHARED, 10, EFFECT_AFTER_READ, false, PAGES_ANY,
	  op_remove },
	{ "fork", HMM_OP_FORK, KINDS_PRIVATE | SHARED | K(BRK) | K(WIDE), 8, EFFECT_AFTER_READ,
	  false, PAGES_ALL, op_fork, true },
	{ "clone", HMM_OP_FORK_RAW, KINDS_PRIVATE | SHARED | K(BRK) | K(WIDE), 5, EFFECT_AFTER_READ,
	  false, PAGES_ALL, op_fork_raw, true },
	{ "mprotect", HMM_OP_MPROTECT, K(ANON) | K(THP) | K(SHMEM) | K(FILE) | K(PRIVATE), 6,
	  EFFECT_NONE, true, PAGES_ANY, op_mprotect },
	{ "truncate", HMM_OP_TRUNCATE, K(SHMEM) | K(FILE), 8, EFFECT_BEFORE, true, PAGES_TAIL,
	  op_truncate },
	{ "punch hole", HMM_OP_PUNCH_HOLE, K(SHMEM) | K(FILE), 8, EFFECT_BEFORE, true, PAGES_ANY,
	  op_punch },
	{ "guard pages", HMM_OP_GUARD_INSTALL, K(ANON) | K(PRIVATE), 12, EFFECT_BEFORE, true,
	  PAGES_ALL, op_guard },
	{ "remap_file_pages", HMM_OP_REMAP_FILE_PAGES, K(SHMEM), 3, EFFECT_BEFORE, true, PAGES_ALL,
	  op_remap_file_pages },
	/* These keep contents where a page is held: no row of the table is needed to rely on it. */
	{ "reclaim hint", HMM_OP_NR, KINDS_PRIVATE | SHARED, 4, EFFECT_NONE, true, PAGES_ANY,
	  op_reclaim },
	{ "collapse", HMM_OP_NR, K(THP), 4, EFFECT_NONE, true, PAGES_ALL, op_collapse },
	{ "store", HMM_OP_NR, ~0U, 30, EFFECT_NONE, true, PAGES_ANY, op_store },
};
const unsigned int ops_count = sizeof(ops_table) / sizeof(ops_table[0]);
_Static_assert(sizeof(ops_table) / sizeof(ops_table[0]) <= OPS_MAX, "windows count by operation");

/* A discard needs no check at use: what is faulted while its end is in doubt is not installed. */
static bool is_discard(enum hmm_operation op)
{
	return op == HMM_OP_MADV_DONTNEED || op == HMM_OP_MADV_FREE || op == HMM_OP_MADV_REMOVE;
}

enum op_policy op_policy(struct torture *t, const struct op *op, const struct slot *slot)
{
	struct hmm_coherence_cell cell;

	if (!(op->kinds & 1U << slot->kind))
		return OP_NEVER;
	if (op->operation == HMM_OP_NR)
		return OP_PLAIN;
	if (hmm_coherence(t->mm, op->operation, kind_vma(slot->kind), &cell) ||
	    cell.guarantee == HMM_NOT_APPLICABLE)
		return OP_NEVER;
	if (cell.guarantee == HMM_SYNCHRONOUS || cell.guarantee == HMM_NOT_MIRRORED)
		return OP_PLAIN;
	if (cell.guarantee == HMM_VALIDATED && (is_discard(op->operation) || slot->checked))
		return OP_PLAIN;
	/* It shares every page of the program: told or not, other threads write before the library knows. */
	if (op->operation == HMM_OP_FORK_RAW)
		return OP_EXCLUDED;
	return cell.noted == HMM_SYNCHRONOUS ? OP_NOTED : OP_EXCLUDED;
}
