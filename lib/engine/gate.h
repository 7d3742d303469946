/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The gate, as the library closes it. */
#ifndef LIB_ENGINE_GATE_H
#define LIB_ENGINE_GATE_H

#include "space/space.h"

int gate_init(struct gate *gate, struct hmm_mm *mm);
void gate_fini(struct gate *gate);

/*
 * Takes gate.lock and returns when no section is open: 0; -ETIME, and it is not closed. What a quiescer does on the
 * calling thread takes as long as it takes.
 */
int gate_close(struct hmm_mm *mm, uint64_t deadline);
void gate_open(struct hmm_mm *mm);
/* Engines that sleep inside their sections are run over; all of them if awake_too. */
void gate_overrun(struct hmm_mm *mm, bool awake_too);
/* For a thief: have the quiescers stop their devices. False: somebody else is at it. */
bool gate_try_quiesce(struct hmm_mm *mm);

/*
 * hmm_engine_commit_begin() in two steps, for a thread that holds a lock which must not be held at a closed gate; then
 * hmm_engine_commit_end(). True: it has begun.
 */
bool gate_commit_try(struct hmm_mm *mm);
/* It was open at an instant: 0; -ETIME. */
int gate_wait_open(struct hmm_mm *mm, uint64_t deadline);

/* Is an event read by a thief that the pump has not handled yet, or about to be (pump/steal.h)? */
static inline bool gate_has_thieves(const struct hmm_mm *mm)
{
	return atomic_load(&mm->gate.closed) & GATE_THIEVES;
}

#endif
