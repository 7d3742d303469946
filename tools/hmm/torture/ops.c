// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The table of hostile operations, and which of them are done to a slot. */
#include "ops.h"

#define SHARED (K(SHMEM) | K(SYSV) | K(FILE))
#define MOVABLE (KINDS_PRIVATE & ~K(STACK))

const struct op ops_table[] = {
	{ "munmap", HMM_OP_MUNMAP, KINDS_PRIVATE | SHARED, 24, EFFECT_BEFORE, PAGES_ALL, op_munmap,
	  LATCH_BELOW, KINDS_PRIVATE | SHARED },
	{ "mmap(MAP_FIXED)", HMM_OP_MAP_FIXED, KINDS_PRIVATE | K(SHMEM) | K(FILE), 20,
	  EFFECT_BEFORE, PAGES_ALL, op_map_fixed, LATCH_BELOW, KINDS_PRIVATE | K(SHMEM) | K(FILE) },
	{ "mremap away", HMM_OP_MREMAP_MOVE, MOVABLE | SHARED, 10, EFFECT_BEFORE, PAGES_ALL,
	  op_mremap_away, LATCH_AWAY, MOVABLE | SHARED },
	{ "mremap onto", HMM_OP_MREMAP_MOVE, MOVABLE | SHARED, 10, EFFECT_BEFORE, PAGES_ALL,
	  op_mremap_onto, LATCH_BELOW, K(ANON) | K(PRIVATE) },
	{ "mremap shrink", HMM_OP_MREMAP_SHRINK, MOVABLE | SHARED, 8, EFFECT_BEFORE,
	  PAGES_TAIL_KEEP, op_mremap_shrink, LATCH_BELOW, MOVABLE | K(SHMEM) | K(FILE) },
	{ "mremap dontunmap", HMM_OP_MREMAP_DONTUNMAP, K(ANON) | K(THP), 8, EFFECT_BEFORE,
	  PAGES_ALL, op_mremap_dontunmap, LATCH_AWAY, K(ANON) | K(THP) },
	{ "brk", HMM_OP_BRK_SHRINK, K(BRK), 40, EFFECT_BEFORE, PAGES_TAIL, op_brk, LATCH_BELOW,
	  K(BRK) },
	{ "stack growth", HMM_OP_MUNMAP, K(STACK), 40, EFFECT_BEFORE, PAGES_HEAD, op_stack,
	  LATCH_BELOW, K(STACK) },
	{ "shmdt", HMM_OP_SHMDT, K(SYSV), 60, EFFECT_SILENT, PAGES_ALL, op_shmdt },
	{ "MADV_DONTNEED", HMM_OP_MADV_DONTNEED, KINDS_PRIVATE | SHARED | K(BRK) | K(WIDE), 16,
	  EFFECT_ANNOUNCED, PAGES_ANY, op_dontneed },
	{ "MADV_DONTNEED_LOCKED", HMM_OP_MADV_DONTNEED, KINDS_PRIVATE | SHARED | K(WIDE), 6,
	  EFFECT_ANNOUNCED, PAGES_ANY, op_dontneed_locked },
	{ "process_madvise", HMM_OP_MADV_DONTNEED, KINDS_PRIVATE | K(WIDE), 4, EFFECT_ANNOUNCED,
	  PAGES_ANY, op_process_madvise },
	{ "MADV_FREE", HMM_OP_MADV_FREE, K(ANON) | K(THP) | K(BRK), 6, EFFECT_NONE, PAGES_ANY,
	  op_free },
	{ "MADV_REMOVE", HMM_OP_MADV_REMOVE, SHARED, 10, EFFECT_ANNOUNCED, PAGES_ANY, op_remove },
	{ "fork", HMM_OP_FORK, KINDS_PRIVATE | SHARED | K(BRK), 8, EFFECT_COPIED, PAGES_ALL,
	  op_fork, LATCH_LOWEST, KINDS_PRIVATE | SHARED | K(BRK), true },
	{ "clone", HMM_OP_FORK_RAW, KINDS_PRIVATE | SHARED | K(BRK), 5, EFFECT_COPIED, PAGES_ALL,
	  op_fork_raw, LATCH_LOWEST, KINDS_PRIVATE | SHARED | K(BRK), true },
	{ "mprotect", HMM_OP_MPROTECT, K(ANON) | K(THP) | K(SHMEM) | K(FILE) | K(PRIVATE), 6,
	  EFFECT_SILENT, PAGES_ANY, op_mprotect },
	{ "truncate", HMM_OP_TRUNCATE, K(SHMEM) | K(FILE), 8, EFFECT_SILENT, PAGES_TAIL,
	  op_truncate },
	{ "punch hole", HMM_OP_PUNCH_HOLE, K(SHMEM) | K(FILE), 8, EFFECT_SILENT, PAGES_ANY,
	  op_punch },
	{ "guard pages", HMM_OP_GUARD_INSTALL, K(ANON) | K(PRIVATE), 12, EFFECT_SILENT, PAGES_ALL,
	  op_guard },
	{ "remap_file_pages", HMM_OP_REMAP_FILE_PAGES, K(SHMEM), 3, EFFECT_SILENT, PAGES_FIRST,
	  op_remap_file_pages },
	/* These keep the contents of a page that is held, whatever the coherence table says. */
	{ "reclaim hint", HMM_OP_NR, KINDS_PRIVATE | SHARED, 4, EFFECT_QUIET, PAGES_ANY,
	  op_reclaim },
	{ "collapse", HMM_OP_NR, K(THP), 4, EFFECT_QUIET, PAGES_ALL, op_collapse },
	{ "store", HMM_OP_NR, ~0U, 30, EFFECT_QUIET, PAGES_ANY, op_store },
};
const unsigned int ops_count = sizeof(ops_table) / sizeof(ops_table[0]);
_Static_assert(sizeof(ops_table) / sizeof(ops_table[0]) <= OPS_MAX, "windows count by operation");

/*
 * After a discard no check at use is needed: what is faulted while it is pending is not installed.
 */
static bool is_discard(enum hmm_operation op)
{
	return op == HMM_OP_MADV_DONTNEED || op == HMM_OP_MADV_FREE || op == HMM_OP_MADV_REMOVE;
}

enum op_policy op_policy_of(struct torture *t, enum hmm_operation op, const struct slot *slot)
{
	struct hmm_coherence_cell cell;

	if (hmm_coherence(t->mm, op, slot->vma, &cell) || cell.guarantee == HMM_NOT_APPLICABLE)
		return OP_NEVER;
	if (cell.guarantee == HMM_EXACT)
		return OP_EXACT;
	if (cell.guarantee == HMM_SYNCHRONOUS || cell.guarantee == HMM_NOT_MIRRORED)
		return OP_PLAIN;
	if (cell.guarantee == HMM_VALIDATED && (is_discard(op) || slot->checked))
		return OP_PLAIN;
	/*
	 * A raw fork shares every page of the program, and other threads may write before the
	 * library knows, even if it is told.
	 */
	if (op == HMM_OP_FORK_RAW)
		return OP_EXCLUDED;
	return cell.noted == HMM_SYNCHRONOUS ? OP_NOTED : OP_EXCLUDED;
}

enum op_policy op_policy(struct torture *t, const struct op *op, const struct slot *slot)
{
	if (!(op->kinds & 1U << slot->kind))
		return OP_NEVER;
	return op->operation == HMM_OP_NR ? OP_PLAIN : op_policy_of(t, op->operation, slot);
}

bool op_exact(const struct op_run *run)
{
	return run->t->policy[run->slot->id][run->op] == OP_EXACT;
}
