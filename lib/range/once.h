/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Memory that cannot be watched is used once. A check compares it with what the fault saw. */
#ifndef LIB_RANGE_ONCE_H
#define LIB_RANGE_ONCE_H

#include "space/space.h"

/*
 * *seen becomes a sum of all that can be read about the range. Makes one system call for each
 * mapping and one for every 256 pages. False: not all of the range is mapped and present.
 */
bool once_look(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t *seen);
/*
 * Keeps the note. If there is one with the same sequence and another content all sequences of the
 * range become new ones, note->seq included. 0; -ETIME.
 */
int once_put(struct hmm_mm *mm, struct once_note *note, uint64_t deadline);
/* Removes the note: the range can be watched by now. */
void once_drop(struct hmm_mm *mm, const struct once_note *note);
/* 1: the memory is as the fault saw it; 0: it is not; -ENOENT: there is no note. */
int once_check(struct hmm_mm *mm, const struct once_note *note);

#endif
