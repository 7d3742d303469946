/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Pending discards: announced, and not proven to have ended (rule 6 in docs/protocol.md). */
#ifndef LIB_WATCH_DISCARD_H
#define LIB_WATCH_DISCARD_H

#include "space/space.h"

#include <hmm/range.h>

int discards_init(struct hmm_mm *mm);
void discards_fini(struct hmm_mm *mm);
/* The pump has read that a discard is about to begin. */
void discard_add(struct hmm_mm *mm, uint64_t start, uint64_t end);
/* The same in a space with a log and without device memory so far: nobody asks where. */
void discard_unlisted(struct hmm_mm *mm);
/* The caller knows that discards inside [start, end) have ended. */
void discard_settle(struct hmm_mm *mm, uint64_t start, uint64_t end);
/*
 * Is a discard of any part of the range pending? Tries to prove its end first. Not where a log
 * tells when discards begin and end.
 */
bool discard_pending(struct hmm_mm *mm, uint64_t start, uint64_t end);
/* The same for pages that are not to move before it: a log does not tell that it will begin. */
bool discard_announced(struct hmm_mm *mm, uint64_t start, uint64_t end);
/* Is one known to be pending? Proves nothing, so it is cheap. */
bool discard_known(struct hmm_mm *mm, uint64_t start, uint64_t end);
/*
 * The same for a fault that has not read the page table yet: `own` keeps its sequence valid
 * although the discard is found to have ended, see notifiers_outdate().
 */
bool discard_pending_fault(struct hmm_mm *mm, uint64_t start, uint64_t end, struct hmm_range *own);
/* For the pump while no event comes: in how many ms to call discards_look(), -1: never. */
int discards_wait_ms(struct hmm_mm *mm);
/* Tries to prove the end of the pending discards, which no other thread may have asked about. */
void discards_look(struct hmm_mm *mm);

/* suspect.c */
void suspects_init(struct hmm_mm *mm);
void suspects_fini(struct hmm_mm *mm);
/*
 * Looks at the threads and returns a number: all discards up to that one have ended. youngest: the
 * number of the youngest discard, which the caller read before. wait: false returns 0 if another
 * thread is looking.
 */
uint64_t suspects_ask(struct hmm_mm *mm, uint64_t youngest, bool wait);

#endif
