/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * coherence: which guarantee is active for each operation on each VMA kind, on this kernel, with this
 * privilege. Every cell is backed by a test that fails if it is untrue.
 */
#ifndef HMM_COHERENCE_H
#define HMM_COHERENCE_H

#include <hmm/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum hmm_guarantee - how a change becomes known
 * @HMM_SYNCHRONOUS: the device has lost access before the program's call returns
 * @HMM_VALIDATED: a use after the change is refused (hmm_interval_stale(), hmm_mm_barrier(),
 *	hmm_mm_check_files())
 * @HMM_UNSEEN: nothing tells; the program must (hmm_mm_note())
 * @HMM_NOT_MIRRORED: ranges of this kind are never cached by a device here
 * @HMM_NOT_APPLICABLE: the operation does not exist for this kind
 */
enum hmm_guarantee {
	HMM_SYNCHRONOUS,
	HMM_VALIDATED,
	HMM_UNSEEN,
	HMM_NOT_MIRRORED,
	HMM_NOT_APPLICABLE,
};

/**
 * enum hmm_operation - what a program can do to its memory
 */
enum hmm_operation {
	HMM_OP_MUNMAP,
	HMM_OP_MAP_FIXED,
	HMM_OP_BRK_SHRINK,
	HMM_OP_MREMAP_MOVE,
	HMM_OP_MREMAP_SHRINK,
	HMM_OP_MREMAP_DONTUNMAP,
	HMM_OP_MADV_DONTNEED,
	HMM_OP_MADV_FREE,
	HMM_OP_MADV_REMOVE,
	HMM_OP_MADV_REMOVE_BEGUN, /* the same, begun before a device touched the mapping */
	HMM_OP_FORK,              /* through libc */
	HMM_OP_FORK_RAW,          /* clone system call made directly */
	HMM_OP_MPROTECT,
	HMM_OP_TRUNCATE,
	HMM_OP_PUNCH_HOLE,
	HMM_OP_SHMDT,
	HMM_OP_SHM_REMAP, /* shmat(SHM_REMAP) over it */
	HMM_OP_REMAP_FILE_PAGES,
	HMM_OP_GUARD_INSTALL,
	HMM_OP_RECLAIM,     /* swap, MADV_PAGEOUT, MADV_COLD, KSM, compaction */
	HMM_OP_COLLAPSE,    /* khugepaged, MADV_COLLAPSE */
	HMM_OP_CHILD_COW,   /* a child writes to a page it shares */
	HMM_OP_FIRST_WRITE, /* the program writes to a private page that a device holds read-only */
	HMM_OP_OTHER_TRUNCATE, /* another process truncates or punches the file */
	HMM_OP_WRITEBACK,      /* fsync, msync and the like: permission to write is taken */
	HMM_OP_NR,
};

/**
 * struct hmm_coherence_cell - one cell of the table
 */
struct hmm_coherence_cell {
	uint32_t guarantee; /* enum hmm_guarantee */
	uint32_t noted;     /* the guarantee if the program tells by hmm_mm_note() */
	const char *why;    /* static text: the mechanism, or what is missing */
};

/**
 * hmm_coherence() - the guarantee for an operation on a kind of VMA
 * @mm: the space: features and privilege decide
 * @op: the operation
 * @kind: HMM_VMA_ANON to HMM_VMA_DAX
 * @cell: out
 * Return: 0; -EINVAL.
 * Since: 0.1.
 */
int hmm_coherence(struct hmm_mm *mm, enum hmm_operation op, enum hmm_vma_kind kind,
		  struct hmm_coherence_cell *cell);

/**
 * hmm_operation_name() - "munmap", "mmap(MAP_FIXED)", ...
 * Since: 0.1.
 */
const char *hmm_operation_name(enum hmm_operation op);

/**
 * hmm_guarantee_name() - "synchronous", "validated", "unseen", "not mirrored", "-"
 * Since: 0.1.
 */
const char *hmm_guarantee_name(enum hmm_guarantee guarantee);

#ifdef __cplusplus
}
#endif
#endif
