/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The gate inside the library: closing it. */
#ifndef LIB_ENGINE_GATE_H
#define LIB_ENGINE_GATE_H

#include "space/space.h"

int gate_init(struct gate *gate, struct hmm_mm *mm);
void gate_fini(struct gate *gate);

/*
 * Takes gate.lock, closes the gate and returns when no section is open. 0; -ETIME: the gate is not
 * closed. The deadline does not bound the quiescers' callbacks, which run on the calling thread.
 */
int gate_close(struct hmm_mm *mm, uint64_t deadline);
void gate_open(struct hmm_mm *mm);
/*
 * Marks the sections of engines that sleep inside them as overrun; with awake_too all open
 * sections.
 */
void gate_overrun(struct hmm_mm *mm, bool awake_too);
/*
 * Is an engine still in a section that was run over? Once none is, no section from before the last
 * closing of the gate is open.
 */
bool gate_has_overrun(struct hmm_mm *mm);
/*
 * For a thief that has closed the gate: has the quiescers stop their devices, unless the pump has
 * opened the gate since. False: another thread holds gate.lock.
 */
bool gate_try_quiesce(struct hmm_mm *mm);

/*
 * hmm_mm_commit_begin() in two steps, for a thread with a lock that must not be held while it
 * waits for the gate. gate_commit_try(): true: the commit section has begun, and
 * hmm_mm_commit_end() ends it.
 */
bool gate_commit_try(struct hmm_mm *mm);
/* Waits until the gate is open, which it may be for an instant only. 0; -ETIME. */
int gate_wait_open(struct hmm_mm *mm, uint64_t deadline);

/*
 * Has a thief read an event that the pump has not handled yet, or is it about to read one
 * (pump/steal.h)?
 */
static inline bool gate_has_thieves(const struct hmm_mm *mm)
{
	return atomic_load(&mm->gate.closed) & GATE_THIEVES;
}

#endif
