// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The watchdog (rule 10 in docs/protocol.md): a program's call must not hang because the pump does.
 * When an event has waited for 50 ms and the pump has not come further, the watchdog reads in the
 * pump's place (steal.h). It also looks whether our descriptors are still ours, whether the keeper
 * lives, and whether hmm-watchd does (renew.h).
 */
#include "pump/keeper.h"
#include "pump/kick.h"
#include "pump/pump.h"
#include "pump/renew.h"
#include "pump/steal.h"
#include "devmem/devmem.h"
#include "engine/gate.h"
#include "space/space.h"
#include "space/turn.h"
#include "provider/log.h"
#include "provider/provider.h"
#include "kernel/pagemap.h"
#include "base/deadline.h"
#include "base/futex.h"
#include "base/number.h"
#include "base/opening.h"
#include "base/ownfd.h"

#define TICK_NS 50000000ULL
/*
 * While the pump is stuck the watchdog looks this often, so that further calls of the program wait
 * for a few ms and not for a whole tick.
 */
#define TICK_STUCK_NS 2000000ULL
#define MOMENT_NS 1000000L
/*
 * After the first time an engine that sleeps inside its section is run over, after the second one
 * any engine.
 */
#define OVERRUN_ASLEEP_NS 10000000ULL
#define OVERRUN_AWAKE_NS 1000000000ULL
/* How long the watchdog waits for drivers to stop their devices before it reads. */
#define QUIESCE_NS 100000000ULL

static void wait_a_moment(void)
{
	const struct timespec moment = { 0, MOMENT_NS };

	nanosleep(&moment, NULL);
}

/* Waits until all engines are out of their sections. False: the pump has moved on by itself. */
static bool wait_engines(struct hmm_mm *mm, uint64_t seq, uint64_t began)
{
	while (!steal_may_read(mm)) {
		const uint64_t waited = clock_ns() - began;

		if (atomic_load(&mm->pump_seq) != seq)
			return false;
		if (waited > OVERRUN_ASLEEP_NS)
			gate_overrun(mm, waited > OVERRUN_AWAKE_NS);
		wait_a_moment();
	}
	return true;
}

/*
 * Whatever a driver's callback is stuck at, threads that wait for a page go on: it may be the
 * callback itself that waits. No device is at work, and the pump tells them before one is.
 */
static void answer_touches(struct hmm_mm *mm, struct thief *t)
{
	struct provider_event home;

	/* Sanitizers do not see into steal.c, so the turn is looked at and ended here. */
	if (atomic_load(&mm->turn) == TURN_OTHER && devmem_of(mm)) {
		atomic_fetch_add(&mm->moving, 1);
		steal_order(mm);
		while (steal_has_room(t) && devmem_answer(mm, &home))
			steal_add(mm, t, &home);
		atomic_fetch_sub(&mm->moving, 1);
	}
	turn_end(mm);
}

static void take_over(struct hmm_mm *mm, struct thief *t)
{
	const uint64_t began = clock_ns();

	steal_close(mm);
	if (wait_engines(mm, t->last_seq, began)) {
		while (!gate_try_quiesce(mm) && clock_ns() - began < QUIESCE_NS)
			wait_a_moment();
		if (ownfd_is_ours(&mm->provider.fd) && steal_read(mm, t, answer_touches))
			count(&mm->stats.watchdog_reads, 1);
	}
	pump_kick(mm);
}

/* A provider, or a log of a test, may have none. */
static bool is_lost(const struct ownfd *own)
{
	return own->fd >= 0 && !ownfd_look(own);
}

/* While the pump puts another log in its place its descriptors change. */
static bool is_log_lost(const struct log *log)
{
	return log && !atomic_load(&log->next) && (is_lost(&log->links) || is_lost(&log->conn));
}

static void look_at_descriptors(struct hmm_mm *mm)
{
	if (is_lost(&mm->provider.fd) || is_lost(&mm->kick[0]) || is_lost(&mm->kick[1]) ||
	    is_lost(&mm->vmas.maps) || is_lost(&mm->pagemap.own) || is_log_lost(mm->log))
		mm_lost(mm);
}

/*
 * Nobody reads events any more, so nobody may wait for that. The userfaultfd may be open still: the
 * program has closed another descriptor, or has done so in a table of a thread's own, or filters
 * what the pump needs.
 */
static void let_go(struct hmm_mm *mm)
{
	if (mm->provider.fd.fd >= 0)
		close_ours(mm->provider.fd.fd);
	pump_kick(mm);
}

void *watchdog_main(void *arg)
{
	struct hmm_mm *mm = arg;
	struct thief *t = &mm->thieves[THIEF_WATCHDOG];
	struct renew renew = { 0 };

	mm->watchdog_tid = (pid_t)syscall(SYS_gettid);
	if (!atomic_load(&mm->stopping))
		keeper_start(mm);
	atomic_store(&mm->watched, 1);
	futex_wake(&mm->watched);
	opening_never_waits(true);
	ownfd_close(&mm->anchor);
	while (!atomic_load(&mm->stopping)) {
		const bool due = !atomic_load(&mm->lost) && steal_due(mm, t);

		if (!atomic_load(&mm->lost))
			look_at_descriptors(mm);
		if (atomic_load(&mm->lost))
			let_go(mm);
		else if (due)
			take_over(mm, t);
		else
			renew_look(mm, &renew);
		keeper_look(mm);
		futex_wait(&mm->stopping, 0,
			   due || (t->waited && t->last_seq & 1) ? TICK_STUCK_NS : TICK_NS);
	}
	/*
	 * The thread that detaches may have a table of descriptors of its own, or a filter that
	 * kept it from waking the pump.
	 */
	if (atomic_load(&mm->lost))
		let_go(mm);
	else
		pump_kick(mm);
	opening_never_waits(false);
	keeper_stop(mm);
	return NULL;
}
