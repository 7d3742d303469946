/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* huge: transparent huge pages, also on a host that gives none at a fault. */
#ifndef TESTS_HUGE_H
#define TESTS_HUGE_H

#include <stddef.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* Of memory that was filled after MADV_HUGEPAGE. A host that has none leaves it as it is. */
static inline void ask_for_huge_pages(char *p, size_t bytes)
{
	madvise(p, bytes, MADV_COLLAPSE);
}

#endif
