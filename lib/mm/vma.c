// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Drivers look up VMAs. */
#include "space/debug.h"
#include "space/space.h"
#include "base/nocancel.h"

#include <errno.h>

int hmm_vma_find(struct hmm_mm *mm, uint64_t addr, struct hmm_vma *vma)
{
	DEBUG_CALL(mm, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	int err = mm_alive(mm);

	return err ? err : vma_lookup(&mm->vmas, addr, vma);
}

int hmm_vma_walk(struct hmm_mm *mm, uint64_t start, uint64_t end,
		 int (*fn)(const struct hmm_vma *vma, void *arg), void *arg)
{
	DEBUG_CALL(mm, DEBUG_BLOCKS);
	struct hmm_vma vma;
	int err = mm_alive(mm);

	while (!err && start < end) {
		err = vma_lookup(&mm->vmas, start, &vma);
		if (err == -ENOENT || (!err && vma.start >= end))
			return 0;
		if (err)
			return err;
		err = fn(&vma, arg);
		start = vma.end;
	}
	return err;
}

const char *hmm_vma_kind_name(enum hmm_vma_kind kind)
{
	static const char *const names[HMM_VMA_KIND_NR] = {
		[HMM_VMA_HOLE] = "hole",       [HMM_VMA_ANON] = "anon",
		[HMM_VMA_HUGETLB] = "hugetlb", [HMM_VMA_SHMEM] = "shmem",
		[HMM_VMA_SYSV] = "sysv",       [HMM_VMA_FILE] = "file",
		[HMM_VMA_DAX] = "dax",         [HMM_VMA_SPECIAL] = "special",
	};

	return (unsigned int)kind < HMM_VMA_KIND_NR ? names[kind] : "?";
}
