// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Words that a CPU and devices count up. At the end of a round each page has every count. */
#include <errno.h>
#include <sys/mman.h>
#include "away.h"

#define BURST 32U

void words_unmap(struct away *away)
{
	if (away->words)
		munmap(away->words, WORD_PAGES * HMM_PAGE_SIZE);
	away->words = NULL;
}

int words_map(struct away *away)
{
	char *at = (char *)(AWAY_ARENA + AREAS * AWAY_SPAN);
	char *shared = at + (WORD_PAGES - WORD_SHARED) * HMM_PAGE_SIZE;
	const int mine = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	const int ours = MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED;

	if (mmap(at, WORD_PAGES * HMM_PAGE_SIZE, PROT_READ | PROT_WRITE, mine, -1, 0) != at)
		return -errno;
	away->words = at;
	if (mmap(shared, WORD_SHARED * HMM_PAGE_SIZE, PROT_READ | PROT_WRITE, ours, -1, 0) ==
	    shared)
		return 0;
	words_unmap(away);
	return -errno;
}

static uint64_t page_of(const struct away *away, unsigned int i)
{
	return (uint64_t)(uintptr_t)away->words + i * HMM_PAGE_SIZE;
}

/* Bursts, so that a device meets pages that are in use and pages that are not. */
void words_work(struct worker *w)
{
	const unsigned int page = rng_below(&w->rng, WORD_PAGES);
	_Atomic uint64_t *word = (_Atomic uint64_t *)page_of(w->away, page) + SHARED_ATOMIC;
	const unsigned int n = 1 + rng_below(&w->rng, BURST);

	for (unsigned int i = 0; i < n; i++)
		atomic_fetch_add(word, 1);
	w->away->cpu[page] += n;
	tort_pause(rng_below(&w->rng, 40000));
}

/* A word that nobody else writes is what it was, each time. */
void words_alone_work(struct worker *w)
{
	const unsigned int page = rng_below(&w->rng, WORD_PAGES);
	volatile uint64_t *word = word_at(page_of(w->away, page), SHARED_CPU);
	const uint64_t have = *word;

	if (have != w->away->cpu_alone[page])
		finding(FINDING_LOST,
			"page %u of the words: a thread alone has counted to %llu, "
			"and it says %llu",
			page, (unsigned long long)w->away->cpu_alone[page],
			(unsigned long long)have);
	*word = ++w->away->cpu_alone[page];
	tort_pause(rng_below(&w->rng, 40000));
}

static void check(unsigned int page, const char *what, uint64_t have, uint64_t sure,
		  uint64_t unsure)
{
	if (have >= sure && have <= sure + unsure)
		return;
	finding(FINDING_LOST,
		"page %u of the words, %s: counted up %llu times (%llu unsure), and it says %llu",
		page, what, (unsigned long long)sure, (unsigned long long)unsure,
		(unsigned long long)have);
}

void words_check(const struct away *away)
{
	for (unsigned int i = 0; i < WORD_PAGES; i++) {
		const uint64_t page = page_of(away, i);

		check(i, "atomic and exclusive", *word_at(page, SHARED_ATOMIC),
		      away->cpu[i] + away->exclusive.sure[i], away->exclusive.unsure[i]);
		check(i, "the device's", *word_at(page, SHARED_DEVICE), away->device.sure[i],
		      away->device.unsure[i]);
		check(i, "the CPU's alone", *word_at(page, SHARED_CPU), away->cpu_alone[i], 0);
	}
}
