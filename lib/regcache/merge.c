// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Which range is registered for a request. What overlaps the request becomes part of a larger
 * registration. What only touches it does so unless it is larger: buffers that are registered one
 * behind the other are then pinned a few times each, not once for each later one.
 *
 *	[1]			[1][2]: joined		[1 2]
 *	[1 2][3]		3 is smaller		[1 2][3]
 *	[1 2][3][4]		joined, joined		[1 2 3 4]
 *
 * In the index nothing overlaps. Whatever the new registration overlaps leaves the index when that
 * is put there, and ends when it is not used.
 */
#include "regcache/cache.h"
#include "base/number.h"

static bool is_live(const struct entry *e)
{
	return atomic_load(&e->state) & ENTRY_LIVE;
}

/*
 * Joining pays where buffers stay. Where each is a mapping of its own, which comes and goes, one
 * that goes takes its neighbours with it. So there are no more joins while many of those that were
 * made have died. From time to time one is forgotten.
 */
#define FORGET 64

static bool may_touch(struct hmm_regcache *c)
{
	if (c->joins_lost <= 4 + c->joins / 4)
		return true;
	if (!(++c->joins_refused % FORGET))
		c->joins_lost--;
	return false;
}

/* Is the entry to be part of the registration of *all? */
static bool joins(struct hmm_regcache *c, const struct miss *want, const struct miss *all,
		  const struct entry *e)
{
	const uint64_t end = entry_end(e);

	if (!is_live(e) || end < all->start || e->r.start > all->end)
		return false;
	if (max64(end, all->end) - min64(e->r.start, all->start) > c->limits.max_merge)
		return false;
	if (end > want->start && e->r.start < want->end)
		return true;
	return e->r.length <= all->end - all->start && may_touch(c);
}

static void join(const struct miss *want, struct miss *all, const struct entry *e)
{
	all->joined |= entry_end(e) <= want->start || e->r.start >= want->end;
	all->start = min64(all->start, e->r.start);
	all->end = max64(all->end, entry_end(e));
	all->flags |= e->r.flags;
}

/* Does another thread register a part of it? */
static bool is_taken(const struct hmm_regcache *c, const struct miss *m)
{
	for (const struct miss *other = c->missing; other; other = other->next)
		if (other->start < m->end && other->end > m->start)
			return true;
	return false;
}

void merge_choose(struct hmm_regcache *c, const struct miss *want, struct miss *all)
{
	const size_t n = index_count(&c->index);
	size_t at = index_place(&c->index, want->start);

	*all = *want;
	for (size_t i = at; i < n && joins(c, want, all, index_at(&c->index, i)); i++)
		join(want, all, index_at(&c->index, i));
	for (; at && joins(c, want, all, index_at(&c->index, at - 1)); at--)
		join(want, all, index_at(&c->index, at - 1));
	if (is_taken(c, all))
		*all = *want;
}

bool merge_insert(struct hmm_regcache *c, struct entry *e, struct doomed *doomed)
{
	const size_t n = index_count(&c->index);
	const size_t i = index_place(&c->index, e->r.start);
	size_t j = i;

	if (!entry_enliven(e))
		return false;
	while (j < n && index_at(&c->index, j)->r.start < entry_end(e)) {
		struct entry *old = index_at(&c->index, j++);
		const bool inside = old->r.start >= e->r.start && entry_end(old) <= entry_end(e);

		if (is_live(old))
			count(inside ? &c->merged : &c->evicted, 1);
		entry_unindexed_locked(c, old, doomed);
	}
	if (index_splice(&c->index, i, j, e)) {
		/* Without memory for it the others are out all the same. */
		index_sweep(&c->index);
		entry_retire(c, e);
		entry_put_locked(e, doomed);
		return false;
	}
	e->indexed = true;
	c->joins += e->joined;
	atomic_fetch_add(&c->entries, 1);
	atomic_fetch_add(&c->bytes, e->bytes);
	return true;
}
