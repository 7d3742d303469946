/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * coherence: which guarantee is active for each operation on each kind of mapping, on this kernel,
 * with this privilege. Every cell is backed by a test that fails if it is untrue.
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
 * @HMM_VALIDATED: a use after the change is refused: by hmm_interval_stale(), hmm_range_check(),
 *	hmm_mm_barrier() or hmm_mm_check_files(); the cell's @why says which
 * @HMM_UNSEEN: nothing tells of it; the program must, by hmm_mm_note() and its kin
 * @HMM_NOT_MIRRORED: memory of this kind is never cached by a device here: each use looks anew
 * @HMM_NOT_APPLICABLE: the operation does not exist for this kind
 * @HMM_EXACT: the kernel's log has it before it takes effect, and every validity call reads that by
 *	loads alone; callbacks run soon after. See enum hmm_provider
 *
 * Since: 0.1.
 */
enum hmm_guarantee {
	HMM_SYNCHRONOUS,
	HMM_VALIDATED,
	HMM_UNSEEN,
	HMM_NOT_MIRRORED,
	HMM_NOT_APPLICABLE,
	HMM_EXACT,
};

/**
 * enum hmm_operation - what a program can do to its memory
 * @HMM_OP_MUNMAP: munmap
 * @HMM_OP_MAP_FIXED: mmap with MAP_FIXED over it
 * @HMM_OP_BRK_SHRINK: brk that makes the heap smaller
 * @HMM_OP_MREMAP_MOVE: mremap that moves
 * @HMM_OP_MREMAP_SHRINK: mremap that makes the mapping smaller
 * @HMM_OP_MREMAP_DONTUNMAP: mremap with MREMAP_DONTUNMAP
 * @HMM_OP_MADV_DONTNEED: madvise with MADV_DONTNEED
 * @HMM_OP_MADV_FREE: madvise with MADV_FREE
 * @HMM_OP_MADV_REMOVE: madvise with MADV_REMOVE
 * @HMM_OP_MADV_REMOVE_BEGUN: the same, begun before a device touched the mapping
 * @HMM_OP_FORK: fork through libc
 * @HMM_OP_FORK_RAW: fork by a clone system call that the program makes itself
 * @HMM_OP_MPROTECT: mprotect or pkey_mprotect that takes permissions away
 * @HMM_OP_TRUNCATE: ftruncate of the mapped file
 * @HMM_OP_PUNCH_HOLE: fallocate that punches a hole into it
 * @HMM_OP_SHMDT: shmdt
 * @HMM_OP_SHM_REMAP: shmat with SHM_REMAP over it
 * @HMM_OP_REMAP_FILE_PAGES: remap_file_pages
 * @HMM_OP_GUARD_INSTALL: madvise with MADV_GUARD_INSTALL
 * @HMM_OP_RECLAIM: the kernel takes the page: swap, MADV_PAGEOUT, MADV_COLD, KSM, compaction
 * @HMM_OP_COLLAPSE: the kernel makes a huge page of it: khugepaged, MADV_COLLAPSE
 * @HMM_OP_CHILD_COW: a child writes to a page that it shares
 * @HMM_OP_FIRST_WRITE: the program writes to a private page that a device holds read-only
 * @HMM_OP_OTHER_TRUNCATE: another process truncates or punches the file
 * @HMM_OP_WRITEBACK: fsync, msync and the like: permission to write is taken
 *
 * Since: 0.1.
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
	HMM_OP_MADV_REMOVE_BEGUN,
	HMM_OP_FORK,
	HMM_OP_FORK_RAW,
	HMM_OP_MPROTECT,
	HMM_OP_TRUNCATE,
	HMM_OP_PUNCH_HOLE,
	HMM_OP_SHMDT,
	HMM_OP_SHM_REMAP,
	HMM_OP_REMAP_FILE_PAGES,
	HMM_OP_GUARD_INSTALL,
	HMM_OP_RECLAIM,
	HMM_OP_COLLAPSE,
	HMM_OP_CHILD_COW,
	HMM_OP_FIRST_WRITE,
	HMM_OP_OTHER_TRUNCATE,
	HMM_OP_WRITEBACK,
	HMM_OP_NR,
};

/**
 * struct hmm_coherence_cell - one cell of the table
 * @guarantee: enum hmm_guarantee
 * @noted: the guarantee if the program tells of the operation (hmm_mm_note() and its kin)
 * @why: static text: how it becomes known, or what is missing
 *
 * Since: 0.1.
 */
struct hmm_coherence_cell {
	uint32_t guarantee;
	uint32_t noted;
	const char *why;
};

/**
 * hmm_coherence() - the guarantee for an operation on a kind of mapping
 * @mm: the space: its features and privilege decide
 * @op: the operation
 * @kind: HMM_VMA_ANON to HMM_VMA_DAX
 * @cell: out
 *
 * Context: any. Never blocks.
 * Return: 0; -EINVAL an unknown operation, or another kind.
 * Since: 0.1.
 */
int hmm_coherence(struct hmm_mm *mm, enum hmm_operation op, enum hmm_vma_kind kind,
		  struct hmm_coherence_cell *cell);

/**
 * hmm_operation_name() - an operation as text: "munmap", "mmap(MAP_FIXED)" and so on
 * @op: the operation
 *
 * Context: any.
 * Return: static text; "?" for an unknown one.
 * Since: 0.1.
 */
const char *hmm_operation_name(enum hmm_operation op);

/**
 * hmm_guarantee_name() - "synchronous", "validated", "unseen", "not mirrored", "-", "exact"
 * @guarantee: the guarantee
 *
 * Context: any.
 * Return: static text; "?" for an unknown one.
 * Since: 0.1.
 */
const char *hmm_guarantee_name(enum hmm_guarantee guarantee);

#ifdef __cplusplus
}
#endif
#endif
