/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* huge: transparent huge pages, also on a host that gives none at a fault. */
#ifndef TESTS_HUGE_H
#define TESTS_HUGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "common/apart.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/*
 * At a fault. Without that, what is copied home arrives as small pages. And a touch, before it is
 * told, puts a table of small pages where the huge page was to come back.
 */
static inline bool faults_give_huge_pages(void)
{
	const size_t bytes = 2UL << 20;
	char *p = map_apart(bytes, PROT_READ | PROT_WRITE);
	unsigned char last = 0;

	madvise(p, bytes, MADV_HUGEPAGE);
	*(volatile char *)p = 1;
	mincore(p + bytes - 4096, 4096, &last);
	munmap(p, bytes);
	return last & 1;
}

/*
 * Of memory that was filled after MADV_HUGEPAGE, on a host that gives huge pages only so. One that
 * has none leaves it as it is. The call may take a second where the kernel is emulated.
 */
static inline void ask_for_huge_pages(char *p, size_t bytes)
{
	if (!faults_give_huge_pages())
		madvise(p, bytes, MADV_COLLAPSE);
}

#endif
