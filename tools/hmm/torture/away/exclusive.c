// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A device takes pages exclusively and counts words up that the CPU counts up atomically. It loads
 * and stores, so only what keeps the CPU away makes that one step.
 */
#include <errno.h>
#include <string.h>
#include "away.h"

#define PAGES_MOST 3U
#define SECTIONS 3
#define SPIN_NS 20000U
#define REVOKE_NS 300000U

struct hold {
	struct hmm_exclusive *ex;
	uint64_t start;
	unsigned int first;
	unsigned int n;
};

/* Bits of the pages that were counted up. *lost: it had a page, and then no longer. */
static unsigned int count_up(const struct hold *h, struct rng *rng, bool *lost)
{
	unsigned int done = 0;

	*lost = false;
	for (unsigned int i = 0; i < h->n; i++) {
		const uint64_t addr = h->start + i * HMM_PAGE_SIZE;
		volatile uint64_t *word;
		uint64_t was;
		uint64_t at;

		if (hmm_exclusive_check(h->ex, addr, &at))
			continue;
		word = word_at(at, SHARED_ATOMIC);
		was = *word;
		if (!rng_below(rng, 16))
			tort_spin(SPIN_NS);
		/* Its store would wait, and the section be run over, so this is seen first. */
		if (hmm_exclusive_check(h->ex, addr, NULL)) {
			*lost = true;
			continue;
		}
		*word = was + 1;
		done |= 1U << i;
	}
	return done;
}

/* False: it has none of them any more. */
static bool section(struct away *away, const struct hold *h, struct rng *rng)
{
	unsigned int done;
	bool lost;
	bool sure;

	hmm_engine_enter(away->exclusive_engine);
	done = count_up(h, rng, &lost);
	sure = hmm_engine_exit(away->exclusive_engine);
	if (!sure)
		tally(&away->overruns, 1);
	else if (lost)
		finding(FINDING_STALE,
			"pages %u and on of the words: one was taken back inside of a section that "
			"was not run over",
			h->first);
	for (unsigned int i = 0; i < h->n; i++) {
		if (done >> i & 1)
			(sure ? away->exclusive.sure : away->exclusive.unsure)[h->first + i]++;
	}
	tally(&away->increments, (uint64_t)__builtin_popcount(done));
	return done;
}

static unsigned int still_had(const struct hold *h, int want)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < h->n; i++)
		n += hmm_exclusive_check(h->ex, h->start + i * HMM_PAGE_SIZE, NULL) == want;
	return n;
}

void exclusive_work(struct worker *w)
{
	struct away *away = w->away;
	struct hold h = { .n = 1 + rng_below(&w->rng, PAGES_MOST) };
	unsigned int busy, back;
	int ret;

	h.first = rng_below(&w->rng, WORD_PAGES - h.n + 1);
	h.start = (uint64_t)(uintptr_t)away->words + h.first * HMM_PAGE_SIZE;
	atomic_store(&w->beat.doing, "hmm_exclusive_begin");
	ret = hmm_exclusive_begin(away->mm, h.start, h.start + h.n * HMM_PAGE_SIZE, &h, CALL_NS,
				  &h.ex);
	if (ret == -ETIME || ret == -EBUSY) {
		tally(&away->late, 1);
		return;
	}
	if (ret) {
		finding(FINDING_ERROR, "hmm_exclusive_begin: %s", strerror(-ret));
		return;
	}
	atomic_store(&away->held, h.first);
	busy = still_had(&h, -EBUSY);
	for (unsigned int i = 0; i < SECTIONS && section(away, &h, &w->rng); i++) {
		if (!rng_below(&w->rng, 8))
			tort_pause(rng_below(&w->rng, 100000));
	}
	back = still_had(&h, 0);
	atomic_store(&w->beat.doing, "hmm_exclusive_end");
	hmm_exclusive_end(h.ex);
	tally(&away->transfers, h.n - busy);
	tally(&away->not_had, busy);
	tally(&away->given_back, back);
	tally(&away->revoked, h.n - busy - back);
}

/* Brings home what the device has just then. */
void revoke_work(struct worker *w)
{
	struct away *away = w->away;
	const uint64_t page =
		(uint64_t)(uintptr_t)away->words + atomic_load(&away->held) * HMM_PAGE_SIZE;
	const int ret = hmm_migrate_to_system(away->mm, page, page + HMM_PAGE_SIZE, CALL_NS);

	if (ret == -ETIME || ret == -EBUSY)
		tally(&away->late, 1);
	else if (ret)
		finding(FINDING_ERROR, "hmm_migrate_to_system: %s", strerror(-ret));
	tort_pause(rng_below(&w->rng, REVOKE_NS));
}
