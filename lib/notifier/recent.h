/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The latest invalidations. A notifier's sequence tells that an invalidation has hit its interval;
 * this list tells whether one has hit a part of the interval. So a fault needs no notifier of its
 * own for its few pages: it looks at the sequence of a large one, and if that has changed at this
 * list.
 *
 *	fault of [a, b)			pump
 *	seq = 7
 *					number 8: [x, y), elsewhere
 *					the notifier's sequence is 8
 *	8, not 7: does any of
 *	8 to 8 overlap [a, b)? no: 8
 */
#ifndef LIB_NOTIFIER_RECENT_H
#define LIB_NOTIFIER_RECENT_H

#include "space/space.h"

/*
 * Called under the notifiers' lock, before the sequence of any notifier becomes `seq`. Every number
 * is noted, with an empty interval if nothing is invalidated.
 */
void recent_note(struct hmm_mm *mm, uint64_t seq, uint64_t start, uint64_t end);
/*
 * Has an invalidation with a number in (after, until] hit [start, end)? True, too, if the list no
 * longer has all of them.
 */
bool recent_hit(const struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t after,
		uint64_t until);

#endif
