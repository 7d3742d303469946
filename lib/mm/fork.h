/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Forks of the process. */
#ifndef LIB_MM_FORK_H
#define LIB_MM_FORK_H

#include "space/space.h"

int fork_attach(struct hmm_mm *mm);
/*
 * Registers a page of ours, so that the kernel tells of forks from now on. The pump must read
 * already.
 */
int fork_watch(struct hmm_mm *mm);
void fork_unwatch(struct hmm_mm *mm);

/*
 * A fault calls mm_fork_wait() before it begins: waits until no fork is under way. 0; -ETIME;
 * -EDEADLK: this thread itself is in fork(), in an atfork handler. At its end the fault calls
 * mm_fork_passed(): has a fork begun since?
 */
int mm_fork_wait(uint64_t deadline, uint64_t *word);
bool mm_fork_passed(struct hmm_mm *mm, uint64_t word);
/* Is a fork under way, whoever makes it? */
bool mm_forking(void);

#endif
