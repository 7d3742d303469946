/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The keeper: a process that shares the address space and nothing else, with descriptors of its
 * own. Debuggers stop the threads of a process one by one and wait for each: for one that waits for
 * the pump, which they stopped before.
 */
#ifndef LIB_PUMP_KEEPER_H
#define LIB_PUMP_KEEPER_H

#include "space/space.h"

/*
 * Memory and descriptors, by who attaches: nothing of it is mapped or opened beside the program
 * later.
 */
void keeper_prepare(struct hmm_mm *mm);
/* Of what the watchdog's thread did not get to start. */
void keeper_forget(struct hmm_mm *mm);
/* By the watchdog's thread. */
void keeper_start(struct hmm_mm *mm);
/* Has it died? Then what it had read is made up for. */
void keeper_look(struct hmm_mm *mm);
/* Ends it and waits for its end. */
void keeper_stop(struct hmm_mm *mm);

#endif
