// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Migrations: out to one region or another, and home. What meets a hole is refused. */
#include <errno.h>
#include <string.h>
#include "away.h"

#define EVICT_ONE_OF 200
#define HOME_ONE_OF 5

static void outcome(struct away *away, int ret, const char *what)
{
	switch (ret) {
	case 0:
		break;
	case -ETIME:
	case -EBUSY: /* changes collided all the time */
		tally(&away->late, 1);
		break;
	case -EINVAL: /* the owner has made a hole */
	case -ENOENT: /* not one page could be moved, and the result says why */
		tally(&away->refused, 1);
		break;
	default:
		finding(FINDING_ERROR, "%s: %s", what, strerror(-ret));
	}
}

void move_out(struct away *away, struct hmm_devmem *region, uint64_t start, uint64_t end)
{
	struct hmm_migrate_result result = { .size = sizeof(result) };
	int ret;

	if (!region)
		return;
	ret = hmm_migrate_to_device(region, start, end, CALL_NS, &result);
	outcome(away, ret, "hmm_migrate_to_device");
	tally(&away->migrations, 1);
	tally(&away->huge, result.huge);
	for (unsigned int i = 0; i < HMM_MIGRATE_REASON_NR; i++)
		tally(&away->left[i], result.left[i]);
}

void evict_all(struct away *away)
{
	outcome(away, hmm_evict_all(away->mm, CALL_NS), "hmm_evict_all");
	tally(&away->evictions, 1);
}

static void choose(struct away *away, struct rng *rng, uint64_t *start, uint64_t *end)
{
	const unsigned int i = rng_below(rng, AREAS + 1);
	struct part part;

	if (i == AREAS) {
		const unsigned int page = rng_below(rng, WORD_PAGES);

		*start = (uint64_t)(uintptr_t)away->words + page * HMM_PAGE_SIZE;
		*end = *start + (1 + rng_below(rng, WORD_PAGES - page)) * HMM_PAGE_SIZE;
		return;
	}
	area_choose(&away->area[i], rng, &part);
	*start = part_start(&away->area[i], &part);
	/* Sometimes where the owner may have moved it. */
	if (!rng_below(rng, 6))
		*start += away->area[i].other - away->area[i].base;
	*end = *start + part_bytes(&part);
}

void move_work(struct worker *w)
{
	struct away *away = w->away;
	static const unsigned int which[] = { 0, 0, 0, 0, 1, 1, 2, 2, COPYING, COPYING };
	uint64_t start;
	uint64_t end;

	choose(away, &w->rng, &start, &end);
	if (!rng_below(&w->rng, EVICT_ONE_OF)) {
		atomic_store(&w->beat.doing, "hmm_evict_all");
		evict_all(away);
	} else if (!rng_below(&w->rng, HOME_ONE_OF)) {
		atomic_store(&w->beat.doing, "hmm_migrate_to_system");
		outcome(away, hmm_migrate_to_system(away->mm, start, end, CALL_NS),
			"hmm_migrate_to_system");
	} else {
		atomic_store(&w->beat.doing, "hmm_migrate_to_device");
		move_out(away, away->region[which[rng_below(&w->rng, 10)]], start, end);
	}
}
