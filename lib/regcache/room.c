// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Limits. Where there is no room registrations that nobody uses end, the least recently used one
 * first: of all if they are few, else of a sample that the hand of the cache comes to next. The
 * time goes on with each registration that is made. So all that was used since the last one is of
 * one age, and a hit costs nothing for that but a store.
 */
#include "regcache/cache.h"
#include "base/deadline.h"
#include "base/nocancel.h"
#include "base/number.h"

#include <errno.h>

#define SAMPLE 256

static bool is_idle(const struct entry *e)
{
	const uint64_t state = atomic_load(&e->state);

	return state & ENTRY_LIVE && ENTRY_REFS(state) == 1;
}

static struct entry *oldest_idle(struct hmm_regcache *c)
{
	const size_t n = index_count(&c->index);
	struct entry *oldest = NULL;
	uint64_t when = UINT64_MAX;

	for (size_t i = 0; i < n && !(oldest && i >= SAMPLE); i++) {
		struct entry *e;

		if (++c->hand >= n)
			c->hand = 0;
		e = index_at(&c->index, c->hand);
		if (is_idle(e) && atomic_load(&e->used) < when) {
			oldest = e;
			when = atomic_load(&e->used);
		}
	}
	return oldest;
}

/* The caller has the lock. False: all are in use. */
static bool evict_locked(struct hmm_regcache *c, struct doomed *doomed)
{
	struct entry *e;

	do
		e = oldest_idle(c);
	while (e && !entry_retire_idle(c, e));
	if (!e)
		return false;
	entry_unindex_locked(c, e, doomed);
	count(&c->evicted, 1);
	return true;
}

/*
 * Has no room; ends something, or waits for another thread that does. 0; -ENOSPC: all are in use;
 * -ETIME. Where threads come and go meanwhile it looks again.
 */
static int make_room(struct hmm_regcache *c, uint64_t deadline, struct doomed *doomed)
{
	for (unsigned int round = 0;; round++) {
		entry_reap_locked(c, doomed);
		if (doomed->first || evict_locked(c, doomed))
			return 0;
		if (entries_ending(c))
			return deadline_cond_wait(&c->changed, &c->lock, deadline);
		if (entries_are_used(c))
			return -ENOSPC;
		if (deadline_passed(deadline))
			return -ETIME;
		deadline_spin(round);
	}
}

int room_take(struct hmm_regcache *c, uint64_t bytes, uint64_t deadline)
{
	bool fits = false;
	bool full = false;
	int err = 0;

	if (bytes > c->limits.max_pinned)
		return -ENOMEM;
	while (!fits && !err) {
		struct doomed doomed = { NULL, 0 };

		pthread_mutex_lock(&c->lock);
		full = c->registered >= c->limits.max_entries;
		fits = !full && atomic_load(&c->pinned) + bytes <= c->limits.max_pinned;
		if (fits) {
			c->registered++;
			atomic_fetch_add(&c->pinned, bytes);
		} else {
			err = make_room(c, deadline, &doomed);
		}
		pthread_mutex_unlock(&c->lock);
		entry_end_all(c, &doomed);
	}
	return err != -ENOSPC ? err : full ? -ENOSPC : -ENOMEM;
}

void room_give(struct hmm_regcache *c, uint64_t bytes)
{
	pthread_mutex_lock(&c->lock);
	c->registered--;
	atomic_fetch_sub(&c->pinned, bytes);
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

bool room_evict(struct hmm_regcache *c, uint64_t ends, uint64_t deadline)
{
	struct doomed doomed = { NULL, 0 };
	int err;

	pthread_mutex_lock(&c->lock);
	err = make_room(c, deadline, &doomed);
	if (err == -ENOSPC && atomic_load(&c->ends) != ends)
		err = 0;
	pthread_mutex_unlock(&c->lock);
	entry_end_all(c, &doomed);
	return !err;
}

void room_trim(struct hmm_regcache *c)
{
	HMM_NO_CANCEL;
	struct doomed doomed = { NULL, 0 };

	pthread_mutex_lock(&c->lock);
	while (room_is_over(c) && evict_locked(c, &doomed))
		;
	pthread_mutex_unlock(&c->lock);
	entry_end_all(c, &doomed);
}
