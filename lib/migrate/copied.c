// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The end of a migration to a region with callbacks: its device has copied the pages, or they go
 * home from their frames, where they still are.
 */
#include "migrate/migrate.h"
#include "devmem/copy.h"
#include "space/space.h"
#include "space/turn.h"
#include "base/deadline.h"
#include "base/futex.h"
#include "base/number.h"

#include <errno.h>

#define LOOK_NS 10000000ULL

/* The next row of pages of the region from *at on that are `states`. *at: where it begins. */
static bool next_row(const struct migration *m, uint64_t *at, unsigned int states, struct run *run)
{
	while (*at < m->end && places_next(m->s, *at, m->end, m->d, run)) {
		*at = run->start;
		if (copy_row(m->d, run, states))
			return true;
		*at = run->end;
	}
	*at = m->end;
	return false;
}

/* What is still on its way, and what will not get there. */
static bool look(struct migration *m, uint64_t *at, unsigned int states, bool *overdue)
{
	struct run run;
	bool found;

	pthread_mutex_lock(&m->mm->region_lock);
	turn_take(m->mm);
	found = next_row(m, at, states, &run);
	*overdue = copy_overdue(m->d->copier);
	turn_end(m->mm);
	pthread_mutex_unlock(&m->mm->region_lock);
	return found;
}

static int wait_coming(struct migration *m, bool *overdue)
{
	uint64_t at = m->start;

	m->deadline = deadline_after(m->timeout);
	for (;;) {
		const uint32_t seen = atomic_load(&m->s->copied);
		const uint64_t was = at;

		if (!look(m, &at, COPY_COMING, overdue) || *overdue)
			return 0;
		if (at > was)
			m->deadline = deadline_after(m->timeout);
		if (mm_alive(m->mm))
			return -ESRCH;
		if (deadline_passed(m->deadline))
			return -ETIME;
		futex_wait(&m->s->copied, seen, min64(LOOK_NS, deadline_slice_ns(m->deadline)));
	}
}

static void refused(struct migration *m, const struct run *run)
{
	const uint64_t n = (run->end - run->start) / HMM_PAGE_SIZE;

	m->result.moved -= min64(n, m->result.moved);
	if (run->huge)
		m->result.huge -= min64(n, m->result.huge);
	migrate_left(m, HMM_MIGRATE_COPY, run->end - run->start);
}

int migrate_copied(struct migration *m)
{
	unsigned int states = COPY_BIT(COPY_HOST);
	uint64_t at = m->start;
	bool overdue = false;
	int err = wait_coming(m, &overdue);

	if (err == -ESRCH)
		return err;
	if (overdue)
		states |= COPY_BIT(COPY_ARRIVED) | COPY_BIT(COPY_IN);
	for (;;) {
		struct run run;
		bool found;
		int ret;

		pthread_mutex_lock(&m->mm->region_lock);
		turn_take(m->mm);
		found = next_row(m, &at, states, &run);
		turn_end(m->mm);
		pthread_mutex_unlock(&m->mm->region_lock);
		if (!found)
			return err;
		ret = devmem_home(m->mm, run.start, run.end, m->d, m->timeout);
		if (ret)
			return ret;
		refused(m, &run);
		at = run.end;
	}
}
