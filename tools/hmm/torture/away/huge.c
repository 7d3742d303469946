// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A huge page that nobody else tears goes out and comes home. Areas lose theirs: by parts that
 * move, and for good on a host that gives none at a fault.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "away.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define HUGE_SIZE (HUGE_PAGES * HMM_PAGE_SIZE)

/* Of what is there by a touch of its first page. */
static bool is_huge(uint64_t start)
{
	unsigned char last = 0;

	mincore((void *)(start + HUGE_SIZE - HMM_PAGE_SIZE), HMM_PAGE_SIZE, &last);
	return last & 1;
}

/* False: the host has no huge page. */
static bool fill(struct area *a, uint64_t start)
{
	bool huge;

	*word_at(start, WORD_COUNT) = 0;
	huge = is_huge(start);
	for (unsigned int i = 0; i < HUGE_PAGES; i++)
		*word_at(start + i * HMM_PAGE_SIZE, WORD_COUNT) = ++a->writes;
	return huge || !madvise((void *)start, HUGE_SIZE, MADV_COLLAPSE);
}

static void check(const struct area *a, uint64_t start)
{
	const uint64_t first = a->writes - HUGE_PAGES + 1;

	for (unsigned int i = 0; i < HUGE_PAGES; i++) {
		const uint64_t count = *word_at(start + i * HMM_PAGE_SIZE, WORD_COUNT);

		if (count != first + i)
			finding(FINDING_WRONG, "page %u of a huge page says %#llx instead of %#llx",
				i, (unsigned long long)count, (unsigned long long)(first + i));
	}
}

void owner_huge(struct area *a)
{
	struct away *away = a->away;
	const uint64_t start = AWAY_ARENA + (AREAS + 2 + a->id) * AWAY_SPAN;
	void *p = mmap((void *)start, HUGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED) {
		finding(FINDING_ERROR, "mmap: %s", strerror(errno));
		return;
	}
	madvise(p, HUGE_SIZE, MADV_HUGEPAGE);
	if (!fill(a, start))
		tally(&away->unsupported[OWNER_HUGE], 1);
	/* There must be frames in a row. */
	evict_all(away);
	move_out(away, away->region[0], start, start + HUGE_SIZE);
	check(a, start);
	munmap(p, HUGE_SIZE);
}
