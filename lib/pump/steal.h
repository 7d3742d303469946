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
	bool in_turn;              /* the thief's own: it has the turn (space/turn.h) */
	struct provider_event event[THIEF_EVENTS];
	uint64_t number[THIEF_EVENTS]; /* of each: in which order all thieves have read */
	_Atomic uint32_t ordered;      /* written in turn: how many devmem_event() was told of */
	/*
	 * The keeper has descriptors of its own, a forked child's among them. The pump fetches that
	 * one by the number of the keeper's process, and the keeper closes it when the pump has
	 * taken the event.
	 */
	pid_t pid;                /* the thief's own: of the keeper's process; 0: the watchdog */
	pid_t from[THIEF_EVENTS]; /* of each: in whose table its descriptor is; 0: the pump's */
	int kept[THIEF_EVENTS];   /* of each: the descriptor, and 1; or 0 */
	uint32_t closed;          /* the thief's own: of how many it has closed it */
};

/* Did an event wait at this call and at the last one, and has the pump done nothing in between? */
bool steal_due(struct hmm_mm *mm, struct thief *t);
/* Closes the gate for the thief: the first closing above. */
void steal_close(struct hmm_mm *mm);
/* The keeper: it has a new table of descriptors; closes those that the pump has fetched. */
void steal_begin(struct thief *t, pid_t pid);
void steal_close_fetched(struct thief *t);
/* Are all engines out of their sections? */
bool steal_may_read(struct hmm_mm *mm);
/*
 * Reads all events that wait; if that was in turn it calls `then`, or NULL, which ends the turn.
 * False: it did not read, as the pump has opened the gate meanwhile.
 */
bool steal_read(struct hmm_mm *mm, struct thief *t,
		void (*then)(struct hmm_mm *mm, struct thief *t));
/* For `then`: is there room for one more event, and puts it there. */
bool steal_has_room(const struct thief *t);
void steal_add(struct hmm_mm *mm, struct thief *t, const struct provider_event *e);
/* In turn (space/turn.h): tells devmem_event() of what thieves have handed over, in order. */
void steal_order(struct hmm_mm *mm);

/*
 * The pump calls this while it has the gate closed. Handles the events that thieves have read, and
 * takes GATE_THIEVES away.
 */
void steal_settle(struct hmm_mm *mm,
		  void (*handle)(struct hmm_mm *, const struct provider_event *));

#endif
