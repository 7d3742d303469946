/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The turn: one thread at a time reads events, so that it is known in which order they came. Where
 * a page in device memory belongs depends on it, so the turn guards the index of places, too, for
 * those who do not move pages (devmem/moving.h). Its holder waits for nobody.
 *
 * A debugger may stop the holder. So a thief reads without the turn where there is no device
 * memory: then the order makes no difference. If a region is made meanwhile no page moves to it
 * before the pump has handled what was read.
 */
#ifndef LIB_SPACE_TURN_H
#define LIB_SPACE_TURN_H

#include "space/space.h"
#include "base/deadline.h"

enum turn { TURN_NOBODY, TURN_OTHER, TURN_KEEPER };

static inline bool turn_try(struct hmm_mm *mm, enum turn who)
{
	uint32_t nobody = TURN_NOBODY;

	return atomic_compare_exchange_strong(&mm->turn, &nobody, who);
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
	atomic_store(&mm->turn, TURN_NOBODY);
}

/* The keeper has ended, maybe in its turn, as it was killed. */
static inline void turn_keeper_ended(struct hmm_mm *mm)
{
	uint32_t keeper = TURN_KEEPER;

	atomic_compare_exchange_strong(&mm->turn, &keeper, TURN_NOBODY);
}

#endif
