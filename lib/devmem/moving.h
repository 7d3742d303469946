/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * When pages may move. The thread that moves them, the mover, holds region_lock, so the pump has
 * handled every event that it has read; and while an event is unread the kernel refuses to move
 * (EAGAIN). Thieves read without the lock (pump/steal.h), and what they have read waits for the
 * pump. So movers and thieves look at each other; the accesses are sequentially consistent:
 *
 *	mover				thief
 *	moving = 1			closed += GATE_THIEF
 *	GATE_THIEVES? -> does not move	moving? -> does not read
 *	moves, moving = 0		reads
 *
 * While a mover calls drivers it does not move: a callback may be stuck, or touch a page that is
 * away, and a thief goes on then (moving_pause()).
 *
 * A mover has its signals blocked: a handler that unmaps would wait for a thief that waits for
 * this thread. A fault that begins meanwhile waits, as in the kernel: its sequence is
 * younger than the invalidation, and it could see the page table of before (ni_read_begin()).
 */
#ifndef LIB_DEVMEM_MOVING_H
#define LIB_DEVMEM_MOVING_H

#include "engine/gate.h"
#include "space/space.h"
#include "base/deadline.h"
#include "base/raw.h"
#include "base/signals.h"

#include <signal.h>

/* Two signals are libc's own, as pthread_sigmask() knows, which costs as much as the call. */
#define MOVING_MASK (~(3ULL << 31))

static inline void moving_mask(uint64_t *old)
{
	const uint64_t all = MOVING_MASK;

	if (!signals_blocked)
		raw5(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)old, sizeof(all), 0);
}

static inline void moving_unmask(const uint64_t *old)
{
	if (!signals_blocked)
		raw5(SYS_rt_sigprocmask, SIG_SETMASK, (long)old, 0, sizeof(*old), 0);
}

/* False: a thief's events wait for the pump, which needs region_lock for them. */
static inline bool moving_begin(struct hmm_mm *mm)
{
	atomic_fetch_add(&mm->moving, 1);
	if (!gate_has_thieves(mm))
		return true;
	atomic_fetch_sub(&mm->moving, 1);
	return false;
}

/* The mover tells drivers between the two. False: a thief has come, and nothing moves any more. */
static inline void moving_pause(struct hmm_mm *mm)
{
	atomic_fetch_sub(&mm->moving, 1);
}

static inline bool moving_resume(struct hmm_mm *mm)
{
	atomic_fetch_add(&mm->moving, 1);
	return !gate_has_thieves(mm);
}

/*
 * A mover calls this before it takes region_lock again: the pump, which is to take it, comes first.
 * For a millisecond at most.
 */
static inline void moving_let_pump(const struct hmm_mm *mm)
{
	for (unsigned int n = 0; n < 100 && atomic_load(&mm->pump_seq) & 1; n++)
		deadline_spin(n);
}

static inline void moving_end(struct hmm_mm *mm)
{
	atomic_fetch_sub(&mm->moving, 1);
}

#endif
