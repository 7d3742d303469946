/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The process's page table, as /proc/PID/pagemap shows it. */
#ifndef LIB_KERNEL_PAGEMAP_H
#define LIB_KERNEL_PAGEMAP_H

#include "base/ownfd.h"

#include <stddef.h>

struct pagemap {
	struct ownfd own;
	int fd;    /* own.fd: /proc/PID/pagemap */
	bool scan; /* PAGEMAP_SCAN, probed */
	bool pfns_hidden;
};

int pagemap_open(struct pagemap *p, int fd, bool no_scan);
void pagemap_close(struct pagemap *p);

/* What a snapshot says of one run of pages; categories are PAGE_IS_* of kernel/abi/pagemap.h. */
struct page_run {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};
/*
 * Scans [start, end) by PAGEMAP_SCAN or by pagemap words. *n is the size of the array before the
 * call and the number of runs after it; *walked is where the scan stopped. Runs without any
 * category are left out.
 */
int pagemap_runs(struct pagemap *p, uint64_t start, uint64_t end, struct page_run *runs, size_t *n,
		 uint64_t *walked);
/* Write-protects (asynchronously) the present pages of a range; needs PAGEMAP_SCAN and WP_ASYNC. */
int pagemap_arm(struct pagemap *p, uint64_t start, uint64_t end);
/*
 * 1: every page of the range is present and unwritten since pagemap_arm(); 0: not; -errno. Makes
 * one system call.
 */
int pagemap_all_armed(struct pagemap *p, uint64_t start, uint64_t end);
/* 1: every page is present; 0: not; -errno. Makes one system call. */
int pagemap_all_present(struct pagemap *p, uint64_t start, uint64_t end);
/*
 * 1: the page lies in a VMA that is registered with some userfaultfd; 0: it does not; -EOPNOTSUPP
 * without PAGEMAP_SCAN. Makes one system call, 0.5 us.
 */
int pagemap_is_registered(struct pagemap *p, uint64_t addr);
/* Raw pagemap words for n pages from start (bit 56: mapped exclusively). */
int pagemap_words(struct pagemap *p, uint64_t start, size_t n, uint64_t *words);
/*
 * The same, but with bit 56 only if the kernel says that the anonymous page is this process's
 * alone, so that a write changes it in place (frames.c). That is true after a fork, too. Without
 * the privilege to ask, no word has the bit.
 */
int pagemap_words_alone(struct pagemap *p, uint64_t start, size_t n, uint64_t *words);

#endif
