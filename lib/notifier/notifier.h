/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Interval notifiers inside the library: calls that give up at a deadline, and invalidation. */
#ifndef LIB_NOTIFIER_NOTIFIER_H
#define LIB_NOTIFIER_NOTIFIER_H

#include "space/space.h"

#include <hmm/range.h>

struct hmm_mm *ni_mm(const struct hmm_interval_notifier *ni);
bool ni_covers(const struct hmm_interval_notifier *ni, uint64_t start, uint64_t end);

/* hmm_interval_notifier_insert() and -remove() that give up at the deadline with -ETIME. */
int ni_insert(struct hmm_mm *mm, uint64_t start, uint64_t length,
	      const struct hmm_interval_notifier_ops *ops, void *priv,
	      struct hmm_interval_notifier **ni, uint64_t deadline);
int ni_remove(struct hmm_interval_notifier *ni, uint64_t deadline);
/*
 * Has no invalidation hit [start, end), a part of the notifier's interval, since *seq? If so *seq
 * becomes the notifier's sequence. Changes in flight are not looked at.
 */
bool ni_unchanged(const struct hmm_interval_notifier *ni, uint64_t start, uint64_t end,
		  uint64_t *seq);
/* Memory of this kind was faulted or watched under the notifier: which checks will it need? */
void ni_note_kind(struct hmm_interval_notifier *ni, enum hmm_vma_kind kind);
/* valid.c: the checks that HMM_CHECK_KIND stands for. */
uint32_t ni_kinds(const struct hmm_interval_notifier *ni);
/* Has an event that its driver is told of hit it since? Asks nothing about changes in flight. */
bool ni_told(const struct hmm_interval_notifier *ni, uint64_t seq);
/* hmm_interval_stale() without the probe, see HMM_CHECK_ORDERED. */
bool ni_stale_ordered(struct hmm_interval_notifier *ni, uint64_t seq);
/* valid.c: hmm_interval_read_begin() that gives up at the deadline. 0; -ETIME. */
int ni_read_begin(struct hmm_interval_notifier *ni, uint64_t deadline, uint64_t *seq);

/*
 * Does any driver hold a translation in the range? A driver without `holds` counts as holding one.
 * 1; 0; -ETIME.
 */
int notifiers_hold(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t deadline);
/*
 * Runs the callbacks of all notifiers that overlap, and returns how many. The caller has the gate
 * closed.
 */
uint64_t notifiers_invalidate(struct hmm_mm *mm, struct hmm_invalidation *inv);
/*
 * The same in two steps, for changes that a log tells of. The caller of the first two has the log's
 * lock: is there a notifier to tell? gives the invalidation its number, and all notifiers that
 * overlap a new sequence; true: a driver is to be told.
 */
bool notifiers_overlap(struct hmm_mm *mm, uint64_t start, uint64_t end);
bool notifiers_number(struct hmm_mm *mm, struct hmm_invalidation *inv);
/* Runs the callbacks. The caller has the gate closed. */
uint64_t notifiers_tell(struct hmm_mm *mm, const struct hmm_invalidation *inv);
/*
 * Makes all TRANSIENT translations of [start, end) invalid, as what proves that their pages are the
 * same is about to go. own: the range of a fault that is under way, or NULL; if its sequence was
 * valid until now it becomes the new one. 0; -ETIME: nothing was done.
 */
int notifiers_outdate(struct hmm_mm *mm, uint64_t start, uint64_t end, struct hmm_range *own,
		      uint64_t deadline);

/*
 * Closes the gate, runs the callbacks of all notifiers that overlap, and opens the gate. Returns
 * how many; -ETIME: none was run.
 */
int mm_invalidate(struct hmm_mm *mm, const struct hmm_invalidation *inv, uint64_t deadline);

#endif
