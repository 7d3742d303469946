// SPDX-License-Identifier: GPL-2.0
/*
 * May the pages of a range be moved into a device's memory? The kernel is asked, and nothing is
 * moved.
 */
#include <linux/migrate.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "oracle.h"

int uhmm_migrate(struct uhmm_oracle_migrate *arg)
{
	struct migrate_vma args = {
		.start = arg->addr,
		.end = arg->addr + arg->npages * PAGE_SIZE,
		.flags = MIGRATE_VMA_SELECT_SYSTEM,
	};
	struct mm_struct *mm = current->mm;

	if (!arg->npages || arg->npages > UHMM_MAX_MIGRATE || !PAGE_ALIGNED(arg->addr) ||
	    args.end < args.start)
		return -EINVAL;
	args.src = kvcalloc(2 * arg->npages, sizeof(*args.src), GFP_KERNEL);
	if (!args.src)
		return -ENOMEM;
	args.dst = args.src + arg->npages;
	mmap_read_lock(mm);
	args.vma = find_vma(mm, args.start);
	if (!args.vma || args.vma->vm_start > args.start) {
		arg->result = -EFAULT;
	} else {
		arg->result = migrate_vma_setup(&args);
		if (!arg->result) {
			arg->movable = args.cpages;
			/* No page was given to move to: all stay. */
			migrate_vma_pages(&args);
			migrate_vma_finalize(&args);
		}
	}
	mmap_read_unlock(mm);
	kvfree(args.src);
	return 0;
}
