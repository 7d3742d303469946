/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Memory that nobody can watch is used once: a check sees whether it is what the fault saw. */
#ifndef LIB_RANGE_ONCE_H
#define LIB_RANGE_ONCE_H

#include "space/space.h"

/* One system call a mapping, one for 256 pages. False: not all of it is mapped and present. */
bool once_look(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t *seen);
/* May move note->seq on, and others' with it, where the same sequence saw something else. 0; -ETIME. */
int once_put(struct hmm_mm *mm, struct once_note *note, uint64_t deadline);
/* The range can be watched now, or again. */
void once_drop(struct hmm_mm *mm, const struct once_note *note);
/* 1: as the fault saw it; 0: not; -ENOENT: it was no such fault. */
int once_check(struct hmm_mm *mm, const struct once_note *note);

#endif
