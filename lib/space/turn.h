/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The turn: one thread at a time reads events, so that it is known in which order they came. Where
 * a page in device memory belongs depends on it, so the turn guards the index of places, too, for
 * those who do not move pages (devmem/moving.h). Its holder waits for nobody.
 *
 * A debugger may stop the holder, and wait for a thread whose event is not read. So the keeper reads
 * beside a holder that has the turn for a second: it intrudes. Where the holder was about to read
 * it must know who came first. The kernel writes what is read to `heard`, which was empty before:
 *
 *	holder				keeper
 *	heard = nothing
 *	intruding? -> waits		intruding = 1, is it the same turn?
 *	reads to heard			heard is empty? -> overtaken = 1
 *	intruding? -> waits		reads, hands over, intruding = 0
 *	overtaken? -> the keeper's events come first
 *
 * A holder that reads nothing has no need to know: what a thief reads waits for the pump.
 */
#ifndef LIB_SPACE_TURN_H
#define LIB_SPACE_TURN_H

#include "space/space.h"
#include "provider/provider.h"
#include "base/deadline.h"

/* Whose turn it is, and above that the turn's number. */
enum turn { TURN_NOBODY, TURN_OTHER, TURN_KEEPER, TURN_WHO = 3, TURN_NEXT };

static inline enum turn turn_who(const struct hmm_mm *mm)
{
	return (enum turn)(atomic_load(&mm->turn) & TURN_WHO);
}

static inline bool turn_try(struct hmm_mm *mm, enum turn who)
{
	uint32_t was = atomic_load(&mm->turn);

	return !(was & TURN_WHO) &&
	       atomic_compare_exchange_strong(&mm->turn, &was, was + TURN_NEXT + who);
}

/* The caller has region_lock. */
static inline void turn_take(struct hmm_mm *mm)
{
	const struct timespec moment = { 0, 20000 };

	while (!turn_try(mm, TURN_OTHER))
		nanosleep(&moment, NULL);
}

static inline void turn_end(struct hmm_mm *mm)
{
	atomic_fetch_and(&mm->turn, ~(uint32_t)TURN_WHO);
}

/* The keeper was killed, maybe in its turn, or while it intruded. */
static inline void turn_keeper_ended(struct hmm_mm *mm)
{
	if (turn_who(mm) == TURN_KEEPER)
		turn_end(mm);
	atomic_store(&mm->intruding, 0);
}

/* For who reads in its turn: empties `heard`, to which it is to read. */
static inline void turn_reads(struct hmm_mm *mm, struct provider_event *heard)
{
	atomic_store(&mm->overtaken, 0);
	heard->type = PROVIDER_NOTHING;
	atomic_store(&mm->heard, heard);
}

#endif
