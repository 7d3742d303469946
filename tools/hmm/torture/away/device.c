// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A device that works in its memory, with translations that it keeps for a while. What it writes
 * inside of a section that was not run over must stand.
 */
#include <errno.h>
#include <string.h>
#include "away.h"

#define WINDOW_PAGES 32U
#define USES 8
#define SPIN_NS 30000U

struct use {
	struct area *area; /* NULL: the words that everybody counts up */
	unsigned int first;
	uint64_t pfns[WINDOW_PAGES];
	struct hmm_range range;
};

static void choose(struct worker *w, struct use *u)
{
	static const unsigned int which[] = { 0, 0, 2, COPYING, COPYING };
	struct away *away = w->away;
	const unsigned int i = rng_below(&w->rng, AREAS + 1);
	const unsigned int pages = i < AREAS ? AREA_PAGES : WORD_PAGES;
	uint64_t base;

	u->area = i < AREAS ? &away->area[i] : NULL;
	base = u->area ? u->area->base : (uint64_t)(uintptr_t)away->words;
	u->first = rng_below(&w->rng, pages - WINDOW_PAGES + 1);
	u->range = (struct hmm_range){ .size = sizeof(u->range),
				       .notifier = away->ni[i],
				       .start = base + u->first * HMM_PAGE_SIZE,
				       .hmm_pfns = u->pfns,
				       .dev_private_owner =
					       &away->region[which[rng_below(&w->rng, 5)]] };
	u->range.end = u->range.start + WINDOW_PAGES * HMM_PAGE_SIZE;
	/* Pages of another device are sometimes asked for, which brings them home. */
	if (!rng_below(&w->rng, 8))
		u->range.default_flags = HMM_PFN_REQ_FAULT;
}

static bool is_ours(const struct use *u, unsigned int i)
{
	const uint64_t want = HMM_PFN_VALID | HMM_PFN_WRITE;

	return (u->pfns[i] & want) == want &&
	       u->pfns[i] & (HMM_PFN_DEVICE_PRIVATE | HMM_PFN_DEVICE_COHERENT);
}

/* A coherent page is at the program's address, where it may be gone before the event comes. */
static bool store(volatile uint64_t *word, uint64_t value)
{
	return !hmm_store_nofault((void *)(uintptr_t)word, sizeof(value), value);
}

static bool load(volatile uint64_t *word, uint64_t *value)
{
	return !hmm_load_nofault((const void *)(uintptr_t)word, sizeof(*value), value);
}

/* Bits of the pages that were counted up. */
static uint64_t write_pages(struct away *away, const struct use *u, struct rng *rng)
{
	uint64_t done = 0;

	for (unsigned int i = 0; i < WINDOW_PAGES; i++) {
		uint64_t page;
		uint64_t was;

		if (!is_ours(u, i))
			continue;
		page = copying_page(away, hmm_pfn_to_addr(u->pfns[i]));
		if (!load(word_at(page, u->area ? WORD_COUNT : SHARED_DEVICE), &was))
			continue;
		/* Time for a page to go home in between, if the gate were open. */
		if (!rng_below(rng, 16))
			tort_spin(SPIN_NS);
		if (u->area ? store(word_at(page, WORD_DEVICE), was)
			    : store(word_at(page, SHARED_DEVICE), was + 1))
			done |= 1ULL << i;
	}
	return done;
}

static void note(struct away *away, const struct use *u, uint64_t done, bool sure)
{
	struct sums *s = &away->device;

	tally(&away->device_uses, (uint64_t)__builtin_popcountll(done));
	for (unsigned int i = 0; !u->area && i < WINDOW_PAGES; i++) {
		if (done >> i & 1)
			(sure ? s->sure : s->unsure)[u->first + i]++;
	}
}

void device_work(struct worker *w)
{
	struct away *away = w->away;
	struct use u;
	int ret;

	choose(w, &u);
	memset(u.pfns, 0, sizeof(u.pfns));
	atomic_store(&w->beat.doing, "hmm_range_fault");
	ret = hmm_range_fault(&u.range, CALL_NS);
	if (ret == -ETIME || ret == -EBUSY)
		tally(&away->late, 1);
	else if (ret && ret != -EFAULT)
		finding(FINDING_ERROR, "hmm_range_fault: %s", strerror(-ret));
	for (unsigned int i = 0; !ret && i < USES; i++) {
		uint64_t done = 0;
		bool sure;

		hmm_engine_enter(away->device_engine);
		ret = hmm_interval_check_retry(u.range.notifier, u.range.notifier_seq);
		if (!ret)
			done = write_pages(away, &u, &w->rng);
		sure = hmm_engine_exit(away->device_engine);
		note(away, &u, done, sure);
		if (!sure)
			tally(&away->overruns, 1);
		if (!ret)
			tort_pause(rng_below(&w->rng, 100000));
	}
	if (ret)
		tort_pause(20000);
}
