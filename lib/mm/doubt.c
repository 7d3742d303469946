/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Discards in doubt (rule 6). MADV_DONTNEED is announced before it zaps, and nothing marks its end: what
 * is mapped anew in between can be zapped by it, even if the range was unmapped meanwhile.
 *
 * Each announcement has a number. The end is proven for all discards up to a number at once, by looking at the threads
 * (suspect.c): no thread can be in the middle of one of them any more. Whoever needs to know looks. So does the pump, but
 * only when no event has come for a while: some threads need two looks, and who asks first should be the second.
 * hmm_mm_note() proves it at once.
 */
#include "mm/core.h"

#include <errno.h>
#include <unistd.h>

/* How long the notifiers' lock is waited for; else the doubt is settled another time. */
#define OUTDATE_NS 1000000ULL
#define AT_ONCE 64 /* doubts that are settled without letting go of the lock */

static struct doubt *to_doubt(struct itree_node *node)
{
	return (struct doubt *)node; /* its first member */
}

static struct doubt *first(struct doubt_list *l, uint64_t start, uint64_t end)
{
	return to_doubt(itree_first(&l->tree, start, end));
}

static struct doubt *next(struct doubt_list *l, const struct doubt *d, uint64_t start, uint64_t end)
{
	return to_doubt(itree_next(&l->tree, &d->node, start, end));
}

static void put_in(struct doubt_list *l, struct doubt *d, uint64_t start, uint64_t end)
{
	d->node.start = start;
	d->node.end = end;
	d->id = ++l->next_id;
	itree_insert(&l->tree, &d->node);
	atomic_fetch_add(&l->n, 1);
}

static void take_out(struct doubt_list *l, struct doubt *d)
{
	itree_remove(&l->tree, &d->node);
	atomic_fetch_sub(&l->n, 1);
}

static void put_back(struct doubt_list *l, struct doubt *d)
{
	take_out(l, d);
	if (d != l->reserve)
		hmm_objpool_put(&l->pool, d);
}

static void drop(struct hmm_mm *mm, struct doubt *d)
{
	put_back(&mm->doubts, d);
	stat_add(&mm->stats.doubts_settled, 1);
}

/* What lies inside a younger one is settled with it. */
static void swallow(struct doubt_list *l, uint64_t start, uint64_t end)
{
	struct doubt *after;

	for (struct doubt *d = first(l, start, end); d; d = after) {
		after = next(l, d, start, end);
		if (d->node.start >= start && d->node.end <= end)
			put_back(l, d);
	}
}

/* Without room: the one that needs the least to reach over both, off the tree. */
static struct doubt *nearest(struct doubt_list *l, uint64_t *start, uint64_t *end)
{
	uint64_t least = UINT64_MAX;
	struct doubt *best = NULL;

	for (struct doubt *d = first(l, 0, UINT64_MAX); d; d = next(l, d, 0, UINT64_MAX)) {
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

/* Runs on the pump: no look at threads here. */
void doubt_add(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	struct doubt_list *l = &mm->doubts;
	struct doubt *d = NULL;

	if (hmm_mutation(HMM_MUTATION_CACHE_DOUBT))
		return;
	pthread_mutex_lock(&l->lock);
	swallow(l, start, end);
	if (l->n < DOUBTS_MAX)
		d = hmm_objpool_get(&l->pool);
	if (!d)
		d = nearest(l, &start, &end);
	put_in(l, d, start, end);
	pthread_mutex_unlock(&l->lock);
	stat_add(&mm->stats.doubts, 1);
}

/*
 * Discards up to this one have ended. First their translations become outdated: who no longer finds the doubt asks only
 * whether a page is there. Some, from an address on, as the pump waits for the lock meanwhile; true: there are more.
 */
static bool settle_some(struct hmm_mm *mm, uint64_t *at, uint64_t last,
			const struct hmm_interval_notifier *own, uint64_t *seq)
{
	struct doubt_list *l = &mm->doubts;
	struct doubt *after;
	bool more = false;
	int n = 0;

	pthread_mutex_lock(&l->lock);
	for (struct doubt *d = first(l, *at, UINT64_MAX); d; d = after) {
		*at = d->node.start;
		more = n++ == AT_ONCE;
		if (more)
			break;
		after = next(l, d, *at, UINT64_MAX);
		if (d->id > last)
			continue;
		if (notifiers_outdate(mm, d->node.start, d->node.end, own, seq,
				      mm_deadline(OUTDATE_NS)))
			break;
		drop(mm, d);
	}
	pthread_mutex_unlock(&l->lock);
	return more;
}

static void settle_up_to(struct hmm_mm *mm, uint64_t last, const struct hmm_interval_notifier *own,
			 uint64_t *seq)
{
	uint64_t at = 0;

	/* Doubts may be nested, and new ones come: it need not reach the end. */
	for (int i = 0; last && i <= DOUBTS_MAX / AT_ONCE; i++)
		if (!settle_some(mm, &at, last, own, seq))
			break;
}

static bool is_known(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t *youngest)
{
	struct doubt_list *l = &mm->doubts;
	bool known;

	if (!atomic_load(&l->n))
		return false;
	pthread_mutex_lock(&l->lock);
	known = first(l, start, end) != NULL;
	*youngest = l->next_id;
	pthread_mutex_unlock(&l->lock);
	return known;
}

bool doubt_overlaps(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	return doubt_overlaps_fault(mm, start, end, NULL, NULL);
}

bool doubt_overlaps_fault(struct hmm_mm *mm, uint64_t start, uint64_t end,
			  const struct hmm_interval_notifier *own, uint64_t *seq)
{
	uint64_t youngest;

	if (!is_known(mm, start, end, &youngest))
		return false;
	/* A process that shares the address space: the threads that it sees are not those that the doubt is about. */
	if (getpid() != mm->pid)
		return true;
	settle_up_to(mm, suspects_ask(mm, youngest, true), own, seq);
	return is_known(mm, start, end, &youngest);
}

/* 1 ms, so that a program that discards all the time is not looked at; 4, which is a tick; then ever more seldom. */
int doubts_wait_ms(struct hmm_mm *mm)
{
	static const int wait_ms[] = { 1, 4, 4, 4, 4, 8, 16, 32, 64, 256 };
	struct doubt_list *l = &mm->doubts;
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

void doubts_look(struct hmm_mm *mm)
{
	uint64_t youngest;

	mm->doubts.looks++;
	if (is_known(mm, 0, UINT64_MAX, &youngest))
		settle_up_to(mm, suspects_ask(mm, youngest, false), NULL, NULL);
}

/* Somebody knows that discards of the range have ended. What reaches beyond it stays in doubt there. */
void doubt_settle(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	struct doubt_list *l = &mm->doubts;
	struct doubt *after;

	pthread_mutex_lock(&l->lock);
	for (struct doubt *d = first(l, start, end); d; d = after) {
		after = next(l, d, start, end);
		if (d->node.start >= start && d->node.end <= end)
			drop(mm, d);
	}
	pthread_mutex_unlock(&l->lock);
}

int doubts_init(struct hmm_mm *mm)
{
	struct doubt_list *l = &mm->doubts;

	pthread_mutex_init(&l->lock, NULL);
	hmm_objpool_init(&l->pool, sizeof(struct doubt));
	suspects_init(mm);
	l->reserve = hmm_objpool_get(&l->pool);
	return l->reserve ? 0 : -ENOMEM;
}

void doubts_fini(struct hmm_mm *mm)
{
	suspects_fini(mm);
	hmm_objpool_fini(&mm->doubts.pool);
	pthread_mutex_destroy(&mm->doubts.lock);
}
