// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Touching memory that the program serves page by page through a userfaultfd for user mode only.
 * The kernel does not fault it in for a system call of ours. An engine's own load or store is in
 * user mode, and is served as the CPU's.
 */
#include <errno.h>
#include <sys/mman.h>
#include <hmm/mm.h>
#include "engines/runner.h"

static bool may_be_served(const struct hmm_vma *vma, uint64_t va, int prot)
{
	return vma->start <= va && !((uint32_t)prot & ~vma->prot) &&
	       (vma->kind == HMM_VMA_ANON || vma->kind == HMM_VMA_SHMEM ||
		vma->kind == HMM_VMA_HUGETLB);
}

/*
 * noinline: no value of the caller is in a register here. Sanitizers must not see a device's
 * access: see access.c.
 */
static __attribute__((noinline, no_sanitize("thread"), no_sanitize("address"))) int
touch(uint64_t va, bool write)
{
	volatile _Atomic unsigned char *p = (volatile _Atomic unsigned char *)(uintptr_t)va;
	struct hmm_guard g;
	int ret;

	if (hmm_guard_landing(&g))
		return -EFAULT;
	ret = hmm_guard_arm(&g, (void *)(uintptr_t)va, 1);
	if (ret)
		return ret;
	if (write)
		atomic_fetch_or(p, 0);
	else
		(void)atomic_load(p);
	hmm_guard_disarm(&g);
	return 0;
}

int engine_touch(struct engine *e, uint64_t va, size_t len, int prot)
{
	const uint64_t end = va + len;
	struct hmm_vma vma = { .end = 0 };
	int ret = 0;

	for (; !ret && va < end; va = (va & ~(HMM_PAGE_SIZE - 1)) + HMM_PAGE_SIZE) {
		if (va >= vma.end && hmm_vma_find(hmm_device_mm(e->runner->dev), va, &vma))
			return -EFAULT;
		ret = may_be_served(&vma, va, prot) ? touch(va, prot & PROT_WRITE) : -EFAULT;
	}
	return ret;
}
