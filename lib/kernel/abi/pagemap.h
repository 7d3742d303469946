/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* /proc/PID/pagemap as the kernel documents it: the words, and the PAGEMAP_SCAN ioctl (since 6.7).
 */
#ifndef LIB_ABI_PAGEMAP_H
#define LIB_ABI_PAGEMAP_H

#include <linux/types.h>
#include <linux/ioctl.h>

/* A word: one a page of the machine's own size */
#define PM_WORD_PFN ((1ULL << 55) - 1) /* 0 without CAP_SYS_ADMIN */
#define PM_WORD_SOFT_DIRTY (1ULL << 55)
#define PM_WORD_EXCLUSIVE (1ULL << 56) /* one process maps the page, once */
#define PM_WORD_UFFD_WP (1ULL << 57)
#define PM_WORD_GUARD (1ULL << 58)
#define PM_WORD_FILE (1ULL << 61) /* file page or shared anonymous */
#define PM_WORD_SWAP (1ULL << 62)
#define PM_WORD_PRESENT (1ULL << 63)

#ifndef PAGEMAP_SCAN
#define PAGE_IS_WPALLOWED (1 << 0)
#define PAGE_IS_WRITTEN (1 << 1)
#define PAGE_IS_FILE (1 << 2)
#define PAGE_IS_PRESENT (1 << 3)
#define PAGE_IS_SWAPPED (1 << 4)
#define PAGE_IS_PFNZERO (1 << 5)
#define PAGE_IS_HUGE (1 << 6)
#define PAGE_IS_SOFT_DIRTY (1 << 7)

struct page_region {
	__u64 start;
	__u64 end;
	__u64 categories;
};

#define PM_SCAN_WP_MATCHING (1 << 0)
#define PM_SCAN_CHECK_WPASYNC (1 << 1)

struct pm_scan_arg {
	__u64 size;
	__u64 flags;
	__u64 start;
	__u64 end;
	__u64 walk_end;
	__u64 vec;
	__u64 vec_len;
	__u64 max_pages;
	__u64 category_inverted;
	__u64 category_mask;
	__u64 category_anyof_mask;
	__u64 return_mask;
};

#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#endif

#endif
