/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The keeper: a process that shares the address space and nothing else, and has descriptors of its
 * own. It is there for debuggers, which stop the threads of a process one by one and wait for each
 * to stop. A thread that waits for the pump does not stop when the debugger has stopped the pump
 * before.
 */
#ifndef LIB_PUMP_KEEPER_H
#define LIB_PUMP_KEEPER_H

#include "space/space.h"

/*
 * The thread that attaches calls this: takes the keeper's memory and descriptors, so that nothing
 * is mapped or opened later while the program runs (but see keeper_renew()).
 */
void keeper_prepare(struct hmm_mm *mm);
/* Frees what was prepared and the watchdog's thread has not started. */
void keeper_forget(struct hmm_mm *mm);
/* The watchdog's thread calls this. */
void keeper_start(struct hmm_mm *mm);
/*
 * Has the keeper died? If it died while it read events the pump is told that everything may have
 * changed.
 */
void keeper_look(struct hmm_mm *mm);
/* Ends the keeper and waits for its end. */
void keeper_stop(struct hmm_mm *mm);
/* What keeps the kernel's programs attached has changed: another keeper keeps it. */
void keeper_renew(struct hmm_mm *mm);

#endif
