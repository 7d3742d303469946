/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Forks of the process. */
#ifndef LIB_MM_FORK_H
#define LIB_MM_FORK_H

#include "space/space.h"

int fork_attach(struct hmm_mm *mm);
/* From now on its forks are seen; the pump reads. */
int fork_watch(struct hmm_mm *mm);
void fork_unwatch(struct hmm_mm *mm);

/*
 * Around a fault: begin at a time when no fork is under way; once all that it found is settled, has one begun
 * since? Wait: 0; -ETIME; -EDEADLK this thread itself is in fork(), in a handler.
 */
int mm_fork_wait(uint64_t deadline, uint64_t *word);
bool mm_fork_passed(struct hmm_mm *mm, uint64_t word);

#endif
