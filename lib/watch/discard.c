// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Pending discards (rule 6 in docs/protocol.md). The kernel announces MADV_DONTNEED before it zaps
 * the pages, and nothing marks its end. Pages that are mapped anew in between can be zapped by it,
 * even if the range was unmapped meanwhile.
 *
 * Each announcement has a number. suspect.c proves the end of all discards up to a number at once:
 * it looks at the threads, and none can be in the middle of one of them any more. A thread that
 * asks whether a discard is pending looks. The pump looks, too, when no event has come for a while:
 * some threads have to be looked at twice, and with the pump's look done the first question finds
 * its answer. hmm_mm_note() settles a discard without a look.
 */
#include "watch/discard.h"
#include "notifier/notifier.h"
#include "space/space.h"
#include "base/deadline.h"
#include "base/itree.h"
#include "base/mutation.h"
#include "base/number.h"
#include "base/pool.h"
#include "base/trace.h"

#include <errno.h>
#include <unistd.h>

/* How long settling waits for the notifiers' lock. After that the discard stays pending. */
#define OUTDATE_NS 1000000ULL
#define AT_ONCE 64 /* pending discards that are settled before the lock is released */

static struct discard *to_discard(struct itree_node *node)
{
	return (struct discard *)node; /* its first member */
}

static struct discard *first(struct discard_list *l, uint64_t start, uint64_t end)
{
	return to_discard(itree_first(&l->tree, start, end));
}

static struct discard *next(struct discard_list *l, const struct discard *d, uint64_t start,
			    uint64_t end)
{
	return to_discard(itree_next(&l->tree, &d->node, start, end));
}

static void put_in(struct discard_list *l, struct discard *d, uint64_t start, uint64_t end)
{
	d->node.start = start;
	d->node.end = end;
	d->id = ++l->next_id;
	itree_insert(&l->tree, &d->node);
	atomic_fetch_add(&l->n, 1);
}

static void take_out(struct discard_list *l, struct discard *d)
{
	itree_remove(&l->tree, &d->node);
	atomic_fetch_sub(&l->n, 1);
}

static void put_back(struct discard_list *l, struct discard *d)
{
	take_out(l, d);
	if (d != l->reserve)
		objpool_put(&l->pool, d);
}

static void drop(struct hmm_mm *mm, struct discard *d)
{
	hmm_trace(discard_settled, mm, d->node.start, d->node.end, d->id);
	put_back(&mm->discards, d);
	count(&mm->stats.discards_settled, 1);
}

/* Removes discards inside [start, end): a younger discard of all that range takes their place. */
static void swallow(struct discard_list *l, uint64_t start, uint64_t end)
{
	struct discard *after;

	for (struct discard *d = first(l, start, end); d; d = after) {
		after = next(l, d, start, end);
		if (d->node.start >= start && d->node.end <= end)
			put_back(l, d);
	}
}

/*
 * There is no room for another discard: takes the one out of the tree that grows the least when it
 * is widened over [start, end), and widens *start and *end over it.
 */
static struct discard *nearest(struct discard_list *l, uint64_t *start, uint64_t *end)
{
	uint64_t least = UINT64_MAX;
	struct discard *best = NULL;

	for (struct discard *d = first(l, 0, UINT64_MAX); d; d = next(l, d, 0, UINT64_MAX)) {
		const uint64_t from = d->node.start < *start ? d->node.start : *start;
		const uint64_t to = d->node.end > *end ? d->node.end : *end;

		if (to - from - (d->node.end - d->node.start) < least) {
			least = to - from - (d->node.end - d->node.start);
			best = d;
		}
	}
	if (!best)
		return l->reserve;
	take_out(l, best);
	*start = best->node.start < *start ? best->node.start : *start;
	*end = best->node.end > *end ? best->node.end : *end;
	return best;
}

/* The pump runs this, so it does not look at threads. */
void discard_add(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	struct discard_list *l = &mm->discards;
	struct discard *d = NULL;

	if (hmm_mutation(HMM_MUTATION_CACHE_DISCARD))
		return;
	pthread_mutex_lock(&l->lock);
	swallow(l, start, end);
	if (l->n < DISCARDS_MAX)
		d = objpool_get(&l->pool);
	if (!d)
		d = nearest(l, &start, &end);
	put_in(l, d, start, end);
	hmm_trace(discard_pending, mm, start, end, d->id);
	pthread_mutex_unlock(&l->lock);
	count(&mm->stats.discards_pending, 1);
}

/*
 * Settles some of the discards up to `last`, which have ended, from address *at on. Only some, as
 * the pump waits for the lock meanwhile; true: there are more. Outdates their translations before
 * it removes a discard: a user that no longer finds the discard asks only whether a page is there.
 */
static bool settle_some(struct hmm_mm *mm, uint64_t *at, uint64_t last, struct hmm_range *own)
{
	struct discard_list *l = &mm->discards;
	struct discard *after;
	bool more = false;
	int n = 0;

	pthread_mutex_lock(&l->lock);
	for (struct discard *d = first(l, *at, UINT64_MAX); d; d = after) {
		*at = d->node.start;
		more = n++ == AT_ONCE;
		if (more)
			break;
		after = next(l, d, *at, UINT64_MAX);
		if (d->id > last)
			continue;
		if (notifiers_outdate(mm, d->node.start, d->node.end, own,
				      deadline_after(OUTDATE_NS)))
			break;
		drop(mm, d);
	}
	pthread_mutex_unlock(&l->lock);
	return more;
}

static void settle_up_to(struct hmm_mm *mm, uint64_t last, struct hmm_range *own)
{
	uint64_t at = 0;

	/*
	 * The number of steps is bounded: pending discards may be nested, and new ones come
	 * meanwhile.
	 */
	for (int i = 0; last && i <= DISCARDS_MAX / AT_ONCE; i++)
		if (!settle_some(mm, &at, last, own))
			break;
}

static bool is_known(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t *youngest)
{
	struct discard_list *l = &mm->discards;
	bool known;

	if (!atomic_load(&l->n))
		return false;
	pthread_mutex_lock(&l->lock);
	known = first(l, start, end) != NULL;
	*youngest = l->next_id;
	pthread_mutex_unlock(&l->lock);
	return known;
}

void discard_unlisted(struct hmm_mm *mm)
{
	atomic_store(&mm->discards.unlisted, true);
}

/* They may be anywhere. */
static void list_all(struct hmm_mm *mm)
{
	if (atomic_load(&mm->discards.unlisted) && atomic_exchange(&mm->discards.unlisted, false))
		discard_add(mm, 0, UINT64_MAX);
}

bool discard_known(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	uint64_t youngest;

	list_all(mm);
	return is_known(mm, start, end, &youngest);
}

bool discard_pending(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	return discard_pending_fault(mm, start, end, NULL);
}

static bool is_unproven(struct hmm_mm *mm, uint64_t start, uint64_t end, struct hmm_range *own)
{
	uint64_t youngest;

	if (!is_known(mm, start, end, &youngest))
		return false;
	/*
	 * This is another process that shares the address space. It sees its own threads, and one
	 * of the program's called the discard.
	 */
	if (getpid() != mm->pid)
		return true;
	settle_up_to(mm, suspects_ask(mm, youngest, true), own);
	return is_known(mm, start, end, &youngest);
}

bool discard_pending_fault(struct hmm_mm *mm, uint64_t start, uint64_t end, struct hmm_range *own)
{
	return !mm->log && is_unproven(mm, start, end, own);
}

bool discard_announced(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	list_all(mm);
	return is_unproven(mm, start, end, NULL);
}

/*
 * First after 1 ms, so that the threads of a program that discards all the time are not looked at;
 * then after 4 ms, which is a tick of the kernel's; then less and less often.
 */
int discards_wait_ms(struct hmm_mm *mm)
{
	static const int wait_ms[] = { 1, 4, 4, 4, 4, 8, 16, 32, 64, 256 };
	struct discard_list *l = &mm->discards;
	const int last = (int)(sizeof(wait_ms) / sizeof(wait_ms[0])) - 1;

	if (!atomic_load(&l->n))
		return -1;
	pthread_mutex_lock(&l->lock);
	if (l->looked != l->next_id)
		l->looks = 0;
	l->looked = l->next_id;
	pthread_mutex_unlock(&l->lock);
	return wait_ms[l->looks < last ? l->looks : last];
}

void discards_look(struct hmm_mm *mm)
{
	uint64_t youngest;

	mm->discards.looks++;
	if (is_known(mm, 0, UINT64_MAX, &youngest))
		settle_up_to(mm, suspects_ask(mm, youngest, false), NULL);
}

/* A discard that reaches beyond [start, end) stays pending as a whole. */
void discard_settle(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	struct discard_list *l = &mm->discards;
	struct discard *after;

	pthread_mutex_lock(&l->lock);
	for (struct discard *d = first(l, start, end); d; d = after) {
		after = next(l, d, start, end);
		if (d->node.start >= start && d->node.end <= end)
			drop(mm, d);
	}
	pthread_mutex_unlock(&l->lock);
}

int discards_init(struct hmm_mm *mm)
{
	struct discard_list *l = &mm->discards;

	pthread_mutex_init(&l->lock, NULL);
	objpool_init(&l->pool, sizeof(struct discard));
	suspects_init(mm);
	l->reserve = objpool_get(&l->pool);
	return l->reserve ? 0 : -ENOMEM;
}

void discards_fini(struct hmm_mm *mm)
{
	suspects_fini(mm);
	objpool_fini(&mm->discards.pool);
	pthread_mutex_destroy(&mm->discards.lock);
}
