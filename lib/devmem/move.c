// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The kernel moves pages, and may say that it moved fewer.
 *
 * Since Linux 6.18 UFFDIO_MOVE moves table entries in batches. If it has to try one again, as a CPU
 * has set a bit there meanwhile, it moves the batch and does not count it. It goes on at the same
 * address, finds the page at its new one, and ends with EEXIST, or with what it had counted before.
 *
 * So a count that falls short is not believed: where nothing is left at the old address and there
 * is a page at the new one it has moved.
 */
#include "devmem/devmem.h"
#include "space/space.h"
#include "provider/provider.h"
#include "kernel/abi/pagemap.h"
#include "kernel/pagemap.h"
#include "base/mutation.h"
#include "base/number.h"

#include <errno.h>

/* how many words of pagemap are asked for at once */
#define WORDS 32

static bool is_here(uint64_t word)
{
	return word & (PM_WORD_PRESENT | PM_WORD_SWAP);
}

/* How many of the n pages have moved, from the first one on; n: they are WORDS at most. */
static size_t moved_of(struct hmm_mm *mm, uint64_t to, uint64_t from, size_t n)
{
	uint64_t old[WORDS];
	uint64_t new[WORDS];
	size_t i = 0;

	if (pagemap_words(mm_pagemap(mm), from, n, old) ||
	    pagemap_words(mm_pagemap(mm), to, n, new))
		return 0;
	while (i < n && !is_here(old[i]) && is_here(new[i]))
		i++;
	return i;
}

static uint64_t not_counted(struct hmm_mm *mm, uint64_t to, uint64_t from, uint64_t bytes)
{
	const uint64_t page = devmem_of(mm)->page;
	uint64_t done = 0;
	size_t want;
	size_t n;

	do {
		want = (size_t)min64((bytes - done) / page, WORDS);
		n = moved_of(mm, to + done, from + done, want);
		done += n * page;
	} while (n == WORDS);
	return done;
}

int64_t devmem_move(struct hmm_mm *mm, uint64_t to, uint64_t from, uint64_t bytes)
{
	const struct provider_move *ops = mm->provider.ops->move;
	const int64_t ret = ops->move(&mm->provider, to, from, bytes);
	const uint64_t counted = ret > 0 ? (uint64_t)ret : 0;
	uint64_t more;

	if (counted == bytes || (ret < 0 && ret != -EEXIST) ||
	    hmm_mutation(HMM_MUTATION_TRUST_COUNT))
		return ret;
	more = not_counted(mm, to + counted, from + counted, bytes - counted);
	if (!more)
		return ret;
	/* The kernel wakes those who wait for what it has counted. */
	ops->wake(&mm->provider, to + counted, more);
	return (int64_t)(counted + more);
}
