/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The latest invalidations. A notifier's sequence says that something hit its interval; this says whether it was in a
 * part of it. So a fault needs no notifier of its own for its few pages: it asks the large one, and on a change this.
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

/* Under the notifiers' lock, before any sequence becomes seq. Each number is noted, an empty interval where none is. */
void recent_note(struct hmm_mm *mm, uint64_t seq, uint64_t start, uint64_t end);
/* Has an invalidation with a number in (after, until] hit [start, end)? True, too, if that is not known any more. */
bool recent_hit(const struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t after,
		uint64_t until);

#endif
