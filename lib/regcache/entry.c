// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * One registration, from the moment it is watched to its end. The callback, which the pump runs,
 * only changes the state and puts the entry on a list. Registrations end on threads that call the
 * cache:
 *
 *	pump				a thread that calls the cache
 *	munmap: DEAD, no longer LIVE,
 *	the list has a reference
 *					reaps: out of the index, off the list
 *					the last reference is gone: removes the notifier,
 *					calls @dereg, frees the entry
 */
#include "regcache/cache.h"
#include "notifier/notifier.h"
#include "space/debug.h"
#include "base/mutation.h"
#include "base/nocancel.h"
#include "base/number.h"

#include <errno.h>
#include <string.h>

#define SLAB_BYTES (64 * 1024UL)

struct slab {
	struct slab *next;
	size_t n;
	struct entry entry[];
};

/* ---- memory ---------------------------------------------------------------------------------- */

static bool add_slab(struct hmm_regcache *c)
{
	struct slab *slab = pool_map(SLAB_BYTES);

	if (!slab)
		return false;
	slab->next = atomic_load(&c->slabs);
	slab->n = (SLAB_BYTES - sizeof(*slab)) / sizeof(struct entry);
	atomic_store(&c->slabs, slab);
	for (size_t i = 0; i < slab->n; i++) {
		slab->entry[i].next = c->free;
		c->free = &slab->entry[i];
	}
	return true;
}

struct entry *entry_new(struct hmm_regcache *c, const struct miss *m)
{
	struct entry *e = NULL;

	pthread_mutex_lock(&c->lock);
	if (c->free || add_slab(c)) {
		e = c->free;
		c->free = e->next;
	}
	pthread_mutex_unlock(&c->lock);
	if (!e)
		return NULL;
	e->r = (struct hmm_registration){ .start = m->start,
					  .length = m->end - m->start,
					  .flags = m->flags & HMM_REGCACHE_WRITE };
	e->ni = NULL;
	e->seq = 0;
	e->checks = 0;
	atomic_store_explicit(&e->used, 0, memory_order_relaxed);
	e->cache = c;
	e->next = NULL;
	e->epoch = c->epoch;
	e->bytes = e->r.length;
	e->indexed = false;
	e->joined = m->joined;
	e->ended = false;
	atomic_store(&e->state, ENTRY_MADE | ENTRY_REF);
	return e;
}

static void free_locked(struct hmm_regcache *c, struct entry *e)
{
	count(&c->hits, ENTRY_HITS(atomic_exchange(&e->state, 0)));
	e->next = c->free;
	c->free = e;
}

/* ---- death ----------------------------------------------------------------------------------- */

static void put_on_list(struct hmm_regcache *c, struct entry *e)
{
	struct entry *first = atomic_load(&c->undead);

	do
		atomic_store(&e->undead, first);
	while (!atomic_compare_exchange_weak(&c->undead, &first, e));
}

/* Restricted as a signal handler: the caller of munmap may hold any lock of the program. */
static int on_invalidate(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
			 void *priv)
{
	struct entry *e = priv;
	struct hmm_regcache *c = e->cache;
	uint64_t was = atomic_load(&e->state);
	uint64_t listed;

	(void)ni;
	(void)inv;
	do {
		if (!(was & ENTRY_WATCHED) || was & ENTRY_DEAD || !ENTRY_REFS(was))
			return 0;
		listed = ((was & ~ENTRY_LIVE) | ENTRY_DEAD | ENTRY_LISTED) + ENTRY_REF;
	} while (!atomic_compare_exchange_weak(&e->state, &was, listed));
	entry_count_out(c, e, was);
	count(&c->invalidated, 1);
	count(&c->dead, 1);
	put_on_list(c, e);
	return 0;
}

/*
 * From the watch on: what is registered anew before the commit may have been replaced without an
 * event after it was pinned, and then the sequence has to change.
 */
static bool holds(struct hmm_interval_notifier *ni, uint64_t start, uint64_t end, void *priv)
{
	const struct entry *e = priv;

	(void)ni;
	(void)start;
	(void)end;
	return !(atomic_load(&e->state) & ENTRY_DEAD);
}

int entry_watch(struct entry *e, uint64_t deadline)
{
	struct hmm_regcache *c = e->cache;
	const struct hmm_interval_notifier_ops ops = {
		.size = sizeof(ops),
		.invalidate = on_invalidate,
		.holds = holds,
		.ignored_events =
			c->limits.flags & HMM_REGCACHE_FORK ? 0 : HMM_EVENT_BIT(HMM_EVENT_FORK),
	};

	return ni_insert(c->mm, e->r.start, e->r.length, &ops, e, &e->ni, deadline);
}

void entry_commit(struct entry *e)
{
	atomic_fetch_or(&e->state, ENTRY_WATCHED);
}

bool entry_enliven(struct entry *e)
{
	uint64_t was = atomic_load(&e->state);

	do {
		if (was & ENTRY_DEAD)
			return false;
	} while (!atomic_compare_exchange_weak(&e->state, &was, (was | ENTRY_LIVE) + ENTRY_REF));
	return true;
}

bool entry_retire(struct hmm_regcache *c, struct entry *e)
{
	const uint64_t was = atomic_fetch_and(&e->state, ~ENTRY_LIVE);

	entry_count_out(c, e, was);
	return was & ENTRY_LIVE;
}

bool entry_retire_idle(struct hmm_regcache *c, struct entry *e)
{
	uint64_t was = atomic_load(&e->state);

	do {
		if (!(was & ENTRY_LIVE) || ENTRY_REFS(was) != 1)
			return false;
	} while (!atomic_compare_exchange_weak(&e->state, &was, was & ~ENTRY_LIVE));
	entry_count_out(c, e, was);
	return true;
}

static void die(struct hmm_regcache *c, struct entry *e)
{
	uint64_t was = atomic_load(&e->state);

	do {
		if (was & ENTRY_DEAD)
			return;
	} while (!atomic_compare_exchange_weak(&e->state, &was, (was & ~ENTRY_LIVE) | ENTRY_DEAD));
	entry_count_out(c, e, was);
	count(&c->invalidated, 1);
	count(&c->dead, 1);
}

/* ---- the end --------------------------------------------------------------------------------- */

int entry_reg(struct hmm_regcache *c, struct entry *e)
{
	DEBUG_PROGRAM;
	const int ret = c->ops.reg(&e->r, c->priv);

	return ret > 0 ? -EINVAL : ret;
}

void entry_dereg(struct hmm_regcache *c, struct entry *e)
{
	DEBUG_PROGRAM;

	c->ops.dereg(&e->r, c->priv);
}

void entry_unwatch(struct entry *e)
{
	struct hmm_interval_notifier *ni = e->ni;

	e->ni = NULL;
	if (ni)
		ni_remove(ni, 0);
}

static void ended(struct hmm_regcache *c, struct entry *e)
{
	pthread_mutex_lock(&c->lock);
	if (atomic_load(&e->state) & ENTRY_DEAD)
		atomic_fetch_sub(&c->dead, 1);
	c->registered--;
	atomic_fetch_add(&c->ends, 1);
	atomic_fetch_sub(&c->pinned, e->bytes);
	free_locked(c, e);
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

void entry_drop(struct hmm_regcache *c, struct entry *e)
{
	entry_unwatch(e);
	pthread_mutex_lock(&c->lock);
	free_locked(c, e);
	pthread_mutex_unlock(&c->lock);
}

/*
 * @dereg ends its thread, which it must not do: the rest of the list ends all the same. If it does
 * so in here, too, this is called once more.
 */
static void end_abandoned(void *arg)
{
	struct doomed *doomed = arg;
	struct entry *e = doomed->first;
	struct hmm_regcache *c;

	if (!e)
		return;
	c = e->cache;
	doomed->first = e->next;
	ended(c, e);
	entry_end_all(c, doomed);
}

/* Nobody has a reference, so nobody gets one, and the callback leaves the entry alone. */
void entry_end_all(struct hmm_regcache *c, struct doomed *doomed)
{
	HMM_NO_CANCEL;

	pthread_cleanup_push(end_abandoned, doomed);
	while (doomed->first) {
		struct entry *e = doomed->first;

		entry_unwatch(e);
		if (!e->ended)
			entry_dereg(c, e);
		doomed->first = e->next;
		ended(c, e);
		doomed->ended++;
	}
	pthread_cleanup_pop(0);
}

/* ---- references ------------------------------------------------------------------------------ */

/* The hit stays in the state, see there. */
void entry_untake(struct hmm_regcache *c, struct entry *e)
{
	count(&c->hits, -1ULL);
	entry_put(c, e);
}

/* Many threads may see that it is time: one of them does it. */
void entry_move_hits(struct hmm_regcache *c, struct entry *e)
{
	const uint64_t half = ENTRY_HIT << 31;
	uint64_t was = atomic_load(&e->state);

	do {
		if (!(was & half))
			return;
	} while (!atomic_compare_exchange_weak(&e->state, &was, was - half));
	count(&c->hits, ENTRY_HITS(half));
}

uint64_t entries_hits(const struct hmm_regcache *c)
{
	uint64_t hits = 0;

	for (const struct slab *s = atomic_load(&c->slabs); s; s = s->next)
		for (size_t i = 0; i < s->n; i++)
			hits += ENTRY_HITS(
				atomic_load_explicit(&s->entry[i].state, memory_order_relaxed));
	return hits;
}

static __attribute__((noinline)) void end_one(struct hmm_regcache *c, struct entry *e)
{
	struct doomed doomed = { e, 0 };

	e->next = NULL;
	entry_end_all(c, &doomed);
}

bool entry_put(struct hmm_regcache *c, struct entry *e)
{
	const uint64_t bytes = e->bytes;
	const uint64_t was = atomic_fetch_sub(&e->state, ENTRY_REF);

	if (ENTRY_REFS(was) == 1) {
		end_one(c, e);
		return false;
	}
	if (__builtin_expect(was & ENTRY_DEAD, 0) && atomic_load(&c->undead))
		entry_reap(c);
	if (!c->limits.max_bytes || !(was & ENTRY_LIVE) || ENTRY_REFS(was) != 2)
		return false;
	atomic_fetch_add(&c->idle, bytes);
	return room_is_over(c);
}

void entry_put_locked(struct entry *e, struct doomed *doomed)
{
	if (ENTRY_REFS(atomic_fetch_sub(&e->state, ENTRY_REF)) != 1)
		return;
	e->next = doomed->first;
	doomed->first = e;
}

void entry_unindexed_locked(struct hmm_regcache *c, struct entry *e, struct doomed *doomed)
{
	e->indexed = false;
	atomic_fetch_sub(&c->entries, 1);
	atomic_fetch_sub(&c->bytes, e->bytes);
	entry_retire(c, e);
	entry_put_locked(e, doomed);
}

void entry_unindex_locked(struct hmm_regcache *c, struct entry *e, struct doomed *doomed)
{
	size_t i;

	if (!e->indexed)
		return;
	i = index_place(&c->index, e->r.start);
	index_splice(&c->index, i, i + 1, NULL);
	entry_unindexed_locked(c, e, doomed);
}

/* From that many on the whole index is written anew, once. */
#define MANY 8

void entry_reap_locked(struct hmm_regcache *c, struct doomed *doomed)
{
	struct entry *list = atomic_exchange(&c->undead, NULL);
	struct entry *next;
	unsigned int n = 0;

	for (struct entry *e = list; e; e = atomic_load(&e->undead))
		n += e->indexed;
	for (struct entry *e = list; n >= MANY && e; e = atomic_load(&e->undead)) {
		if (e->indexed)
			entry_unindexed_locked(c, e, doomed);
	}
	if (n >= MANY)
		index_sweep(&c->index);
	for (struct entry *e = list; e; e = next) {
		next = atomic_load(&e->undead);
		c->joins_lost += e->joined;
		entry_unindex_locked(c, e, doomed);
		if (hmm_mutation(HMM_MUTATION_CACHE_EARLY_FREE) && !e->ended) {
			e->ended = true;
			entry_dereg(c, e);
		}
		atomic_fetch_and(&e->state, ~ENTRY_LISTED);
		entry_put_locked(e, doomed);
	}
}

void entry_outdate(struct hmm_regcache *c, struct entry *e)
{
	struct doomed doomed = { NULL, 0 };

	die(c, e);
	pthread_mutex_lock(&c->lock);
	entry_unindex_locked(c, e, &doomed);
	pthread_mutex_unlock(&c->lock);
}

uint64_t entry_reap(struct hmm_regcache *c)
{
	HMM_NO_CANCEL;
	struct doomed doomed = { NULL, 0 };

	pthread_mutex_lock(&c->lock);
	entry_reap_locked(c, &doomed);
	pthread_mutex_unlock(&c->lock);
	entry_end_all(c, &doomed);
	return doomed.ended;
}

bool entries_ending(const struct hmm_regcache *c)
{
	for (const struct slab *s = atomic_load(&c->slabs); s; s = s->next) {
		for (size_t i = 0; i < s->n; i++) {
			const uint64_t state = atomic_load(&s->entry[i].state);

			if (state & ENTRY_MADE && !ENTRY_REFS(state))
				return true;
		}
	}
	return false;
}

static bool is_used(const struct entry *e, uint64_t state)
{
	return ENTRY_REFS(state) > (uint64_t)e->indexed + !!(state & ENTRY_LISTED);
}

/*
 * Users come and go without the lock. One that has left an entry, after that was looked at, may
 * have come to one that is looked at later. So all are looked at twice: what has not changed in
 * between was so at the moment when the second look began.
 */
bool entries_are_used(struct hmm_regcache *c)
{
	struct slab *const slabs = atomic_load(&c->slabs);

	for (struct slab *s = slabs; s; s = s->next) {
		for (size_t i = 0; i < s->n; i++) {
			struct entry *e = &s->entry[i];

			e->seen = atomic_load(&e->state);
			if (e->seen & ENTRY_MADE && !is_used(e, e->seen))
				return false;
		}
	}
	for (const struct slab *s = slabs; s; s = s->next)
		for (size_t i = 0; i < s->n; i++)
			if (atomic_load(&s->entry[i].state) != s->entry[i].seen)
				return false;
	return true;
}

void entries_end(struct hmm_regcache *c)
{
	struct doomed doomed = { NULL, 0 };

	for (struct slab *s = atomic_load(&c->slabs); s; s = s->next) {
		for (size_t i = 0; i < s->n; i++) {
			struct entry *e = &s->entry[i];

			if (!ENTRY_REFS(atomic_load(&e->state)))
				continue;
			e->next = doomed.first;
			doomed.first = e;
		}
	}
	entry_end_all(c, &doomed);
}

void entries_fini(struct hmm_regcache *c)
{
	struct slab *next;

	for (struct slab *s = atomic_load(&c->slabs); s; s = next) {
		next = s->next;
		pool_unmap(s, SLAB_BYTES);
	}
}
