// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Limits. Where there is no room registrations that nobody uses end, those first that were not used
 * for long. A hand goes round over the index: what was used since it came by is passed over once.
 * So a hit has nothing to do but set a mark that is mostly set.
 */
#include "regcache/cache.h"
#include "base/deadline.h"
#include "base/nocancel.h"
#include "base/number.h"

#include <errno.h>

/* The caller has the lock. False: all are in use. */
static bool evict_locked(struct hmm_regcache *c, struct doomed *doomed)
{
	const size_t n = index_count(&c->index);

	for (size_t steps = 2 * n; steps; steps--, c->hand++) {
		struct entry *e;

		if (c->hand >= n)
			c->hand = 0;
		e = index_at(&c->index, c->hand);
		if (ENTRY_REFS(atomic_load(&e->state)) != 1)
			continue;
		if (atomic_exchange_explicit(&e->used, 0, memory_order_relaxed))
			continue;
		if (!entry_retire_idle(c, e))
			continue;
		entry_unindex_locked(c, e, doomed);
		count(&c->evicted, 1);
		return true;
	}
	return false;
}

/* Has no room; ends something, or waits for another thread that does. False: nothing ends. */
static bool make_room(struct hmm_regcache *c, uint64_t deadline, struct doomed *doomed)
{
	entry_reap_locked(c, doomed);
	if (doomed->first || evict_locked(c, doomed))
		return true;
	return atomic_load(&c->ending) && !deadline_cond_wait(&c->changed, &c->lock, deadline);
}

int room_take(struct hmm_regcache *c, uint64_t bytes, uint64_t deadline)
{
	bool fits = false;
	bool full = false;
	bool more = true;

	if (bytes > c->limits.max_pinned)
		return -ENOMEM;
	while (!fits && more) {
		struct doomed doomed = { NULL, 0 };

		pthread_mutex_lock(&c->lock);
		full = c->registered >= c->limits.max_entries;
		fits = !full && atomic_load(&c->pinned) + bytes <= c->limits.max_pinned;
		if (fits) {
			c->registered++;
			atomic_fetch_add(&c->pinned, bytes);
		} else {
			more = make_room(c, deadline, &doomed);
		}
		pthread_mutex_unlock(&c->lock);
		entry_end_all(c, &doomed);
	}
	return fits ? 0 : full ? -ENOSPC : -ENOMEM;
}

void room_give(struct hmm_regcache *c, uint64_t bytes)
{
	pthread_mutex_lock(&c->lock);
	c->registered--;
	atomic_fetch_sub(&c->pinned, bytes);
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

bool room_evict(struct hmm_regcache *c, uint64_t deadline)
{
	struct doomed doomed = { NULL, 0 };
	bool more;

	pthread_mutex_lock(&c->lock);
	more = make_room(c, deadline, &doomed);
	pthread_mutex_unlock(&c->lock);
	entry_end_all(c, &doomed);
	return more;
}

void room_trim(struct hmm_regcache *c)
{
	HMM_NO_CANCEL;
	struct doomed doomed = { NULL, 0 };

	pthread_mutex_lock(&c->lock);
	while (atomic_load(&c->idle) > c->limits.max_bytes && evict_locked(c, &doomed))
		;
	pthread_mutex_unlock(&c->lock);
	entry_end_all(c, &doomed);
}
