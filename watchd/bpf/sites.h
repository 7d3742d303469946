/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The kernel's functions that change page tables of user memory and tell its notifiers of it. A row
 * is a pair of programs: NAME_begin runs before the function, NAME_end after it. The kernel's
 * versions have the same function in several forms, and a compiler may have put one into its
 * caller: rows of one `group` stand for each other, and the first whose function is there, with
 * these parameters, and lets a program be attached, is taken. Group 0 stands alone.
 *
 * Parameters: their names in order, those that a program does not read as "-", what is behind the
 * last that it reads left out. "vma:vm_area_struct" is a pointer to that structure; names
 * without a structure are numbers. "a|b" is either name.
 *
 * All sources of 6.1.192, 6.12.117 and 7.3.4 (Debian's) were searched for calls of
 * mmu_notifier_invalidate_range_start() and its form that does not wait. What each caller tells of
 * is changed in one of these functions or below it, but for three. do_swap_page() tells of a page
 * that a device had for itself: no translation of it is valid. retract_page_tables() takes a table
 * away whose pages were told of before, while the new page is locked. wp_clean_pre_vma() tells of
 * what the driver vmwgfx maps of its own memory, which is VM_PFNMAP: nobody has translations of it.
 *
 * Columns: number, name of the programs, function, group, kind, parameters.
 */
#ifndef WATCHD_BPF_SITES_H
#define WATCHD_BPF_SITES_H

#define GROUP_ALONE 0
#define GROUP_FREE 1
#define GROUP_COPY 2
#define GROUP_MOVE_USER 3
#define GROUP_HUGE_COPY 4
#define GROUP_PTE_MAPPED 5
#define GROUP_UNMAP 6
#define GROUP_MOVE 7
/* Where hugetlb_wp() has more parameters than a program may see, each fault is told (6.1). */
#define GROUP_GIANT 8

#define VMA "vm_area_struct"
#define MM "mm_struct"
#define VMF "vm_fault"

/* clang-format off */
#define WATCH_SITES(X)                                                                             \
	X(0, unmap, "unmap_vmas", GROUP_UNMAP, WATCH_UNMAP,                                        \
	  "- - vma|start_vma:" VMA " start_addr end_addr")                                         \
	X(1, unmap_described, "unmap_vmas", GROUP_UNMAP, WATCH_UNMAP,                              \
	  "- unmap:unmap_desc")                                                                    \
	X(2, zap_single, "zap_page_range_single", GROUP_ALONE, WATCH_CLEAR,                        \
	  "vma:" VMA " address|start size")                                                        \
	X(3, zap_batched, "zap_page_range_single_batched", GROUP_ALONE, WATCH_CLEAR,               \
	  "- vma:" VMA " address|start size")                                                      \
	X(4, zap_batched, "zap_vma_range_batched", GROUP_ALONE, WATCH_CLEAR,                       \
	  "- vma:" VMA " address|start size")                                                      \
	X(5, zap_range, "zap_page_range", GROUP_ALONE, WATCH_CLEAR,                                \
	  "vma:" VMA " start|address size")                                                        \
	X(6, reap_mm, "__oom_reap_task_mm", GROUP_ALONE, WATCH_UNMAP,                              \
	  "mm:" MM)                                                                                \
	X(7, reap_vma, "zap_vma_for_reaping", GROUP_ALONE, WATCH_CLEAR,                            \
	  "vma:" VMA)                                                                              \
	X(8, protect, "change_protection", GROUP_ALONE, WATCH_PROTECT,                             \
	  "- vma:" VMA " start end")                                                               \
	X(9, move, "move_page_tables", GROUP_MOVE, WATCH_MOVE,                                     \
	  "vma:" VMA " old_addr - - len")                                                          \
	X(10, move_controlled, "move_page_tables", GROUP_MOVE, WATCH_MOVE,                         \
	  "pmc:pagetable_move_control")                                                            \
	X(11, fork, "copy_page_range", GROUP_ALONE, WATCH_FORK,                                    \
	  "- src_vma:" VMA)                                                                        \
	X(12, fork_huge, "copy_hugetlb_page_range", GROUP_ALONE, WATCH_FORK,                       \
	  "- src:" MM " - src_vma:" VMA)                                                           \
	X(13, free, "madvise_free_single_vma", GROUP_FREE, WATCH_CLEAR,                            \
	  "vma:" VMA " start_addr|start end_addr|end")                                             \
	X(14, free_described, "madvise_free_single_vma", GROUP_FREE, WATCH_CLEAR,                  \
	  "madv_behavior:madvise_behavior")                                                        \
	X(15, free_advised, "do_madvise", GROUP_FREE, WATCH_CLEAR,                                 \
	  "mm:" MM " start len_in|len behavior")                                                   \
	X(16, copy, "wp_page_copy", GROUP_COPY, WATCH_CLEAR,                                       \
	  "vmf:" VMF)                                                                              \
	X(17, copy, "do_wp_page", GROUP_COPY, WATCH_CLEAR,                                         \
	  "vmf:" VMF)                                                                              \
	X(18, huge_copy, "do_huge_zero_wp_pmd", GROUP_HUGE_COPY, WATCH_CLEAR,                      \
	  "vmf:" VMF)                                                                              \
	X(19, huge_copy, "do_huge_pmd_wp_page", GROUP_HUGE_COPY, WATCH_CLEAR,                      \
	  "vmf:" VMF)                                                                              \
	X(20, page, "try_to_unmap_one", GROUP_ALONE, WATCH_CLEAR,                                  \
	  "folio:folio vma:" VMA " address")                                                       \
	X(21, page, "try_to_migrate_one", GROUP_ALONE, WATCH_CLEAR,                                \
	  "folio:folio vma:" VMA " address")                                                       \
	X(22, page, "page_make_device_exclusive_one", GROUP_ALONE, WATCH_EXCLUSIVE,                \
	  "folio:folio vma:" VMA " address")                                                       \
	X(23, page, "try_to_unmap_poisoned_hugetlb_one", GROUP_ALONE, WATCH_CLEAR,                 \
	  "folio:folio vma:" VMA " address")                                                       \
	X(24, page, "page_mkclean_one", GROUP_ALONE, WATCH_PROTECT_PAGE,                           \
	  "folio:folio vma:" VMA " address")                                                       \
	X(25, clean_range, "mapping_wrprotect_range_one", GROUP_ALONE, WATCH_PROTECT_PAGE,         \
	  "- vma:" VMA " address")                                                                 \
	X(26, clean_pfns, "pfn_mkclean_range", GROUP_ALONE, WATCH_PROTECT_PAGE,                    \
	  "- nr_pages pgoff vma:" VMA)                                                             \
	X(27, split_pmd, "__split_huge_pmd", GROUP_ALONE, WATCH_CLEAR,                             \
	  "vma:" VMA " - address")                                                                 \
	X(28, split_pud, "__split_huge_pud", GROUP_ALONE, WATCH_CLEAR,                             \
	  "vma:" VMA " - address")                                                                 \
	X(29, collapse, "collapse_huge_page", GROUP_ALONE, WATCH_CLEAR,                            \
	  "mm:" MM " address|start_addr")                                                          \
	X(30, collapse, "try_collapse_pte_mapped_thp", GROUP_PTE_MAPPED, WATCH_CLEAR,              \
	  "mm:" MM " addr|haddr")                                                                  \
	X(31, collapse, "collapse_pte_mapped_thp", GROUP_PTE_MAPPED, WATCH_CLEAR,                  \
	  "mm:" MM " addr|haddr")                                                                  \
	X(32, retract, "collapse_and_free_pmd", GROUP_ALONE, WATCH_CLEAR,                          \
	  "mm:" MM " - addr")                                                                      \
	X(33, merge, "try_to_merge_one_page", GROUP_ALONE, WATCH_CLEAR,                            \
	  "vma:" VMA " page:page")                                                                 \
	X(34, move_huge, "move_hugetlb_page_tables", GROUP_ALONE, WATCH_MOVE,                      \
	  "vma:" VMA " - old_addr - len")                                                          \
	X(35, zap_huge, "unmap_hugepage_range", GROUP_ALONE, WATCH_CLEAR,                          \
	  "vma:" VMA " start end")                                                                 \
	X(36, copy_huge, "hugetlb_wp", GROUP_GIANT, WATCH_CLEAR,                                   \
	  "vmf:" VMF)                                                                              \
	X(37, copy_huge_page, "hugetlb_wp", GROUP_GIANT, WATCH_CLEAR,                              \
	  "mm:" MM " vma:" VMA " address|haddr")                                                   \
	X(38, zap_huge, "hugetlb_unshare_pmds", GROUP_ALONE, WATCH_CLEAR,                          \
	  "vma:" VMA " start end")                                                                 \
	X(39, migrate, "migrate_vma_setup", GROUP_ALONE, WATCH_MIGRATE,                            \
	  "args:migrate_vma")                                                                      \
	X(40, migrate_pages, "__migrate_device_pages", GROUP_ALONE, WATCH_MIGRATE,                 \
	  "- - - migrate:migrate_vma")                                                             \
	X(41, exclusive, "make_device_exclusive", GROUP_ALONE, WATCH_EXCLUSIVE,                    \
	  "mm:" MM " addr|address")                                                                \
	X(42, exclusive_range, "make_device_exclusive_range", GROUP_ALONE, WATCH_EXCLUSIVE,        \
	  "mm:" MM " start end")                                                                   \
	X(43, move_user, "move_pages", GROUP_ALONE, WATCH_CLEAR,                                   \
	  "ctx:userfaultfd_ctx - src_start len")                                                   \
	X(44, move_ptes, "move_pages_ptes", GROUP_ALONE, WATCH_CLEAR,                              \
	  "mm:" MM " - - - - - src_addr len")                                                      \
	X(45, move_pte, "move_pages_pte", GROUP_ALONE, WATCH_CLEAR,                                \
	  "mm:" MM " - - - - - src_addr")                                                          \
	X(46, move_pmd, "move_pages_huge_pmd", GROUP_ALONE, WATCH_CLEAR,                           \
	  "mm:" MM " - - - - - - src_addr")                                                        \
	X(47, soft_dirty, "clear_refs_pte_range", GROUP_ALONE, WATCH_SOFT_DIRTY,                   \
	  "- addr end walk:mm_walk")                                                               \
	X(48, scan, "pagemap_scan_pmd_entry", GROUP_ALONE, WATCH_PROTECT,                          \
	  "- start end walk:mm_walk")                                                              \
	X(49, scan_huge, "pagemap_scan_hugetlb_entry", GROUP_ALONE, WATCH_PROTECT,                 \
	  "- - start end walk:mm_walk")                                                            \
	X(50, replace, "__replace_page", GROUP_ALONE, WATCH_CLEAR,                                 \
	  "vma:" VMA " addr")                                                                      \
	X(51, uprobe, "uprobe_write", GROUP_ALONE, WATCH_CLEAR,                                    \
	  "- vma:" VMA " insn_vaddr|vaddr")                                                        \
	X(52, copy_huge_page, "hugetlb_fault", GROUP_GIANT, WATCH_CLEAR,                           \
	  "mm:" MM " vma:" VMA " address")
/* clang-format on */

#define WATCH_SITE_NR 53
/* The kernel's notifiers themselves; in the record of a watch that is closed no function at all */
#define WATCH_SITE_NOTIFIER WATCH_SITE_NR
#define WATCH_SITE_NONE 0xffff

#endif
