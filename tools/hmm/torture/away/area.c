// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * An owner's memory. A page has its words at both ends, so that one that is put together of two is
 * seen. A device adds the count that it finds, so that what it wrote into a page that is gone is
 * seen, too.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "away.h"

#define FEW 24U

int area_map(struct away *away, unsigned int id, bool huge)
{
	struct area *a = &away->area[id];
	const uint64_t bytes = AREA_PAGES * HMM_PAGE_SIZE;
	void *p;

	memset(a, 0, sizeof(*a));
	a->away = away;
	a->id = id;
	a->huge = huge;
	a->base = AWAY_ARENA + id * AWAY_SPAN;
	a->other = a->base + AWAY_SPAN / 2;
	p = mmap((void *)a->base, bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	madvise(p, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	return 0;
}

void area_unmap(struct area *a)
{
	if (a->base)
		munmap((void *)a->base, AREA_PAGES * HMM_PAGE_SIZE);
}

void area_choose(const struct area *a, struct rng *rng, struct part *part)
{
	const unsigned int most = rng_below(rng, 16) ? FEW : AREA_PAGES;
	const unsigned int n = 1 + rng_below(rng, most);

	part->lo = rng_below(rng, AREA_PAGES - n + 1);
	part->hi = part->lo + n;
	if (!a->huge || rng_below(rng, 3))
		return;
	part->lo = rng_below(rng, AREA_PAGES / HUGE_PAGES) * HUGE_PAGES;
	part->hi = part->lo + HUGE_PAGES;
}

static uint64_t mark(const struct area *a, unsigned int page, uint64_t count)
{
	struct rng r = { (uint64_t)a->id << 56 ^ (uint64_t)page << 40 ^ count };

	return count ? rng_next(&r) | 1 : 0;
}

void area_write(struct area *a, const struct part *part)
{
	for (unsigned int i = part->lo; i < part->hi; i++) {
		const uint64_t page = a->base + i * HMM_PAGE_SIZE;
		const uint64_t count = ++a->writes;

		*word_at(page, WORD_COUNT) = count;
		*word_at(page, WORD_MARK) = mark(a, i, count);
		*word_at(page, WORD_COUNT_END) = count;
		*word_at(page, WORD_MARK_END) = mark(a, i, count);
		if (!a->count[i])
			a->since[i] = count;
		a->count[i] = count;
	}
}

void area_forget(struct area *a, const struct part *part)
{
	memset(&a->count[part->lo], 0, (part->hi - part->lo) * sizeof(a->count[0]));
}

/* Is what a device has seen of the page possible? */
static bool device_fits(const struct area *a, unsigned int i, uint64_t seen)
{
	return !seen || (a->count[i] && seen >= a->since[i] && seen <= a->count[i]);
}

/* The word that is wrong, or -1. */
static int wrong_word(const struct area *a, unsigned int i, uint64_t page)
{
	const uint64_t count = a->count[i];
	const uint64_t m = mark(a, i, count);

	if (*word_at(page, WORD_COUNT) != count)
		return WORD_COUNT;
	if (*word_at(page, WORD_MARK) != m)
		return WORD_MARK;
	if (*word_at(page, WORD_COUNT_END) != count)
		return WORD_COUNT_END;
	if (*word_at(page, WORD_MARK_END) != m)
		return WORD_MARK_END;
	return device_fits(a, i, *word_at(page, WORD_DEVICE)) ? -1 : WORD_DEVICE;
}

bool area_fits(const struct area *a, const struct part *part, uint64_t at, struct wrong *wrong)
{
	for (unsigned int i = part->lo; i < part->hi; i++) {
		const uint64_t page = at + (i - part->lo) * HMM_PAGE_SIZE;
		const int word = wrong_word(a, i, page);

		if (word < 0)
			continue;
		*wrong = (struct wrong){ i, word, *word_at(page, (unsigned int)word) };
		return false;
	}
	return true;
}

bool area_check(const struct area *a, const struct part *part, uint64_t at, const char *after)
{
	struct wrong w;

	if (area_fits(a, part, at, &w))
		return true;
	finding(FINDING_WRONG,
		"area %u page %u after %s: word %d is %#llx, the page was written with count %llu "
		"(since %llu)",
		a->id, w.page, after, w.word, (unsigned long long)w.value,
		(unsigned long long)a->count[w.page], (unsigned long long)a->since[w.page]);
	return false;
}
