/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The members of the kernel's structures that the programs read, and no others. libbpf finds where
 * they are in the running kernel (CO-RE), so the order and what lies between do not matter here.
 * What is behind ___ in a name is cut off: two forms of one structure, of different kernels.
 */
#ifndef WATCHD_BPF_KERNEL_H
#define WATCHD_BPF_KERNEL_H

#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct mm_struct {
	void *pgd;
	void *notifier_subscriptions;
};

struct task_struct {
	unsigned int flags;
	unsigned short migration_disabled;
	int pid;
	int tgid;
	struct mm_struct *mm;
};

struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_end;
	struct mm_struct *vm_mm;
	unsigned long vm_flags;
	unsigned long vm_pgoff;
};

struct vm_fault {
	struct vm_area_struct *vma;
	unsigned long address;
};

struct unmap_desc {
	struct vm_area_struct *first;
	unsigned long vma_start;
	unsigned long vma_end;
};

struct pagetable_move_control {
	struct vm_area_struct *old;
	unsigned long old_addr;
	unsigned long old_end;
	unsigned long len_in;
};

struct madvise_behavior_range {
	unsigned long start;
	unsigned long end;
};

struct madvise_behavior {
	struct vm_area_struct *vma;
	struct madvise_behavior_range range;
};

struct memdesc_flags {
	unsigned long f;
};

struct folio {
	unsigned long flags;
};

struct folio___typed {
	struct {
		unsigned long f;
	} flags;
};

struct folio___ordered {
	unsigned char _folio_order;
};

struct folio___flagged {
	unsigned long _flags_1;
};

struct page {
	unsigned long index;
};

struct page___folio {
	unsigned long __folio_index;
};

struct migrate_vma {
	struct vm_area_struct *vma;
	unsigned long start;
	unsigned long end;
};

struct userfaultfd_ctx {
	struct mm_struct *mm;
};

struct mm_walk {
	struct mm_struct *mm;
	void *private;
};

struct pm_scan_arg {
	__u64 flags;
};

struct pagemap_scan_private {
	struct pm_scan_arg arg;
};

enum clear_refs_types {
	CLEAR_REFS_SOFT_DIRTY = 4,
};

struct clear_refs_private {
	enum clear_refs_types type;
};

struct ctl_table {
	const char *procname;
};

enum mmu_notifier_event {
	MMU_NOTIFY_UNMAP,
};

struct mmu_notifier_range {
	struct mm_struct *mm;
	unsigned long start;
	unsigned long end;
	enum mmu_notifier_event event;
};

enum pageflags {
	PG_head = 6,
};

#pragma clang attribute pop

#endif
