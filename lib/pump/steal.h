/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Reading in the pump's place (rule 10). A program's call that changes memory waits until its event
 * is read, and the pump may be unable to: a driver's callback hangs, the thread that holds a lock
 * which the pump needs was interrupted by a signal whose handler unmaps, a debugger has stopped it.
 * Then a thief reads: the watchdog, or the keeper where all threads are stopped. What it read waits
 * for the pump.
 *
 * Reading is sound while no engine uses a translation and none is found valid:
 *
 *	thief				pump			user of a translation
 *	closed += GATE_THIEF
 *	waits until engines are out
 *	busy = 1, closed += GATE_THIEF
 *	reads: callers go on					closed: refused
 *	hands over, busy = 0, kicks
 *					odd, closes the gate
 *					handles, takes GATE_THIEVES away
 *					even, opens
 *
 * The pump takes them away in one step, only if nothing was added since it looked and nobody is
 * busy. What is committed meanwhile is not used before the pump has handled the events, so commit
 * sections are not waited for.
 */
#ifndef LIB_PUMP_STEAL_H
#define LIB_PUMP_STEAL_H

#include "engine/gate.h"

enum { THIEF_WATCHDOG, THIEF_KEEPER, THIEVES };

struct thief {
	_Atomic uint32_t busy;     /* between its second closing and its last event handed over */
	_Atomic uint32_t head;     /* the thief's: events handed over */
	_Atomic uint32_t tail;     /* the pump's: events taken */
	_Atomic uint32_t overflow; /* some did not fit: everything has changed */
	uint64_t last_seq;         /* the thief's: pump_seq at its last look ... */
	bool waited;               /* ... when an event waited already */
	struct provider_event event[THIEF_EVENTS];
};

/* Does an event wait that the pump has not come to read between two calls of this? */
bool steal_due(struct hmm_mm *mm, struct thief *t);
/* The first closing. */
void steal_close(struct hmm_mm *mm);
/* Are all engines out of their sections? */
bool steal_may_read(struct hmm_mm *mm);
/* Reads all there is. False: the pump has opened the gate meanwhile, there is no need any more. */
bool steal_read(struct hmm_mm *mm, struct thief *t);

/* For the pump, while it has the gate closed. */
/* Hands out what was stolen and lets the gate be the pump's alone again. */
void steal_settle(struct hmm_mm *mm,
		  void (*handle)(struct hmm_mm *, const struct provider_event *));

#endif
