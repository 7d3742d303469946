// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Where each page of a migration in steps waits. A frame of the isolation counts how often it was
 * freed, so a page that went home and came back is not taken for one that has been there all the
 * time.
 */
#include "migrate/migrate.h"
#include "base/mutation.h"

static bool is_isolated(const struct migrate_state *st, const struct migrate_page *p)
{
	return p->place && st->isolation && place_region(p->place) == st->isolation->id;
}

bool state_has(const struct migrate_state *st, uint32_t i)
{
	const struct migrate_page *p = &st->page[i];
	const struct hmm_devmem *d = p->place ? place_devmem(st->s, p->place) : NULL;

	if (!d)
		return false;
	if (d->transit)
		return coherent_at(st->s, state_addr(st, i)) == p->place;
	return place_at(st->s, state_addr(st, i)) == p->place &&
	       (!is_isolated(st, p) || hmm_mutation(HMM_MUTATION_OLD_COPY) ||
		atomic_load(&st->isolation->freed[place_frame(p->place)]) == p->freed);
}

void state_note(struct migration *m, uint64_t at, uint32_t first, uint32_t n)
{
	struct migrate_state *st = m->state;
	const uint64_t write = m->staged ? 0 : HMM_MIGRATE_PFN_WRITE;

	for (uint32_t i = 0; i < n; i++) {
		struct migrate_page *p = &st->page[(at - st->start) / st->s->page + i];

		p->place = m->d->id << FRAME_BITS | (first + i);
		p->freed = atomic_load(&m->d->freed[first + i]);
		p->src = place_addr(st->s, p->place) | HMM_MIGRATE_PFN_VALID |
			 HMM_MIGRATE_PFN_MIGRATE | write;
	}
}
