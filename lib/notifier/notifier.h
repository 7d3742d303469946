/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Interval notifiers, from inside: calls that give up at a deadline, and invalidation. */
#ifndef LIB_NOTIFIER_NOTIFIER_H
#define LIB_NOTIFIER_NOTIFIER_H

#include "space/space.h"

#include <hmm/range.h>

struct hmm_mm *ni_mm(const struct hmm_interval_notifier *ni);
bool ni_covers(const struct hmm_interval_notifier *ni, uint64_t start, uint64_t end);

/* hmm_interval_notifier_insert() and -remove() that give up, with -ETIME. */
int ni_insert(struct hmm_mm *mm, uint64_t start, uint64_t length,
	      const struct hmm_interval_notifier_ops *ops, void *priv,
	      struct hmm_interval_notifier **ni, uint64_t deadline);
int ni_remove(struct hmm_interval_notifier *ni, uint64_t deadline);
/*
 * Has nothing hit [start, end), a part of the notifier's interval, since *seq? Then *seq moves on to the notifier's. Of
 * what is in flight it says nothing.
 */
bool ni_unchanged(const struct hmm_interval_notifier *ni, uint64_t start, uint64_t end,
		  uint64_t *seq);
/* valid.c: hmm_interval_read_begin() that gives up: 0; -ETIME. */
int ni_read_begin(struct hmm_interval_notifier *ni, uint64_t deadline, uint64_t *seq);

/* Does any driver hold something there? 1; 0; -ETIME. */
int notifiers_hold(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t deadline);
/* Runs the callbacks of all that overlap, and says how many. The gate is closed. */
uint64_t notifiers_invalidate(struct hmm_mm *mm, struct hmm_invalidation *inv);
/*
 * TRANSIENT translations of [start, end) that were made until now no longer stand: what proves that their pages are the
 * same is about to go. own: a fault that is under way, whose sequence moves on if it stood until now; or NULL. 0;
 * -ETIME: they stand.
 */
int notifiers_outdate(struct hmm_mm *mm, uint64_t start, uint64_t end, struct hmm_range *own,
		      uint64_t deadline);

/*
 * Closes the gate, runs the callbacks of every notifier that overlaps, opens it. How many; -ETIME, and none was run.
 */
int mm_invalidate(struct hmm_mm *mm, const struct hmm_invalidation *inv, uint64_t deadline);

#endif
