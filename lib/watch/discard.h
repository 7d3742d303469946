/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Discards whose end is not proven yet (rule 6). */
#ifndef LIB_WATCH_DISCARD_H
#define LIB_WATCH_DISCARD_H

#include "space/space.h"

#include <hmm/range.h>

int discards_init(struct hmm_mm *mm);
void discards_fini(struct hmm_mm *mm);
/* A discard is announced. */
void discard_add(struct hmm_mm *mm, uint64_t start, uint64_t end);
/* Somebody knows that it is over. */
void discard_settle(struct hmm_mm *mm, uint64_t start, uint64_t end);
/* Is a discard of any part of it pending? Tries to settle it first. */
bool discard_pending(struct hmm_mm *mm, uint64_t start, uint64_t end);
/* For a fault that has not looked yet: its sequence outlives the end of the discard, see notifiers_outdate(). */
bool discard_pending_fault(struct hmm_mm *mm, uint64_t start, uint64_t end, struct hmm_range *own);
/* The pump, without events: when to look at pending discards that nobody asks about, -1 never; and to look. */
int discards_wait_ms(struct hmm_mm *mm);
void discards_look(struct hmm_mm *mm);

/* suspect.c */
void suspects_init(struct hmm_mm *mm);
void suspects_fini(struct hmm_mm *mm);
/*
 * Looks at the threads: discards up to this one have ended; youngest: that of now, read before. Without waiting: 0 if
 * another thread looks.
 */
uint64_t suspects_ask(struct hmm_mm *mm, uint64_t youngest, bool wait);

#endif
