/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Reading in the pump's place (rule 10 in docs/protocol.md). A program's call that changes memory
 * waits until its event is read, and the pump may be unable to read: a driver's callback hangs; a
 * signal whose handler unmaps has interrupted a thread that holds a lock which the pump needs; a
 * debugger has stopped the pump. Then a thief reads: the watchdog, or the keeper where all threads
 * are stopped. The events that a thief has read wait for the pump.
 *
 * A thief may read while no engine uses a translation and no translation is found valid:
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
 * The pump takes GATE_THIEVES away in one step, if no thief is busy and none has added to it since
 * the pump looked. A thief does not wait for commit sections: translations that are committed
 * meanwhile are not used before the pump has handled the events.
 */
#ifndef LIB_PUMP_STEAL_H
#define LIB_PUMP_STEAL_H

#include "engine/gate.h"

enum { THIEF_WATCHDOG, THIEF_KEEPER, THIEVES };

struct thief {
	_Atomic uint32_t busy;     /* from its second closing until its last event is handed over */
	_Atomic uint32_t head;     /* written by the thief: how many events it has handed over */
	_Atomic uint32_t tail;     /* written by the pump: how many it has taken */
	_Atomic uint32_t overflow; /* some events did not fit: anything may have changed */
	uint64_t last_seq;         /* the thief's own: pump_seq at its last look ... */
	bool waited;               /* ... and whether an event waited then */
	struct provider_event event[THIEF_EVENTS];
};

/* Did an event wait at this call and at the last one, and has the pump done nothing in between? */
bool steal_due(struct hmm_mm *mm, struct thief *t);
/* Closes the gate for the thief: the first closing above. */
void steal_close(struct hmm_mm *mm);
/* Are all engines out of their sections? */
bool steal_may_read(struct hmm_mm *mm);
/* Reads all events that wait. False: it did not read, as the pump has opened the gate meanwhile. */
bool steal_read(struct hmm_mm *mm, struct thief *t);

/*
 * The pump calls this while it has the gate closed. Handles the events that thieves have read, and
 * takes GATE_THIEVES away.
 */
void steal_settle(struct hmm_mm *mm,
		  void (*handle)(struct hmm_mm *, const struct provider_event *));

#endif
