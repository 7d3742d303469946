/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Fork (rule 10). Through libc it is seen by atfork handlers on any privilege: writable
 * translations die before the copy, and the child closes what it inherited. A raw clone is seen by
 * the event, given the privilege, and by the child itself through a page that forking wipes
 * (base/epoch.h): it refuses every handle.
 *
 * A fork never waits for a fault, which may itself wait for the thread that forks. Handlers run
 * from the one that was registered last to the first. Ours are two: one of the first attachment,
 * which runs early, when no lock of the program's own handlers is held yet, and invalidates; and
 * one of the time when the library was loaded, which runs late. What was faulted between the two is
 * invalidated by the second, what is being faulted refuses itself:
 *
 *	a fault				fork
 *					early: told = faulted; invalidate
 *	word = under_way: none
 *	populates, reads its sequence
 *	looks, settles
 *					late: under_way changes
 *					told == faulted? then nobody has a translation
 *					the copy: pages are shared from now on
 *	faulted++
 *	under_way == word? no: again
 *
 * Had the fault counted itself before the late handler looked, that would invalidate once more.
 * Whichever order the two have, one of them sees the other (both are sequentially consistent). From
 * the late handler to the end of the fork no fault succeeds.
 */
#include "mm/fork.h"
#include "pump/kick.h"
#include "pump/steal.h"
#include "watch/region.h"
#include "notifier/notifier.h"
#include "engine/gate.h"
#include "space/space.h"
#include "provider/provider.h"
#include "kernel/thread.h"
#include "base/deadline.h"
#include "base/epoch.h"
#include "base/log.h"
#include "base/mutation.h"
#include "base/nocancel.h"
#include "base/pool.h"

#include <errno.h>
#include <unistd.h>

#define UNDER_WAY 0xffffffffULL /* how many forks are between the late handler and their end */
#define OVER (1ULL << 32)       /* how many have ended */

static _Atomic uint64_t under_way;
static _Thread_local unsigned int mine
	__attribute__((tls_model("initial-exec"))); /* of these, this thread's */

/* ---- the handlers ---------------------------------------------------------------------------- */

static const struct hmm_invalidation every_fork = { .start = 0,
						    .end = UINT64_MAX,
						    .event = HMM_EVENT_FORK };

/*
 * A closed gate is empty after a second (gate.c). Who still has it then is in a driver's callback
 * and hangs; or this thread itself has it, or another lock of ours, as it forks in a callback or in
 * a signal handler that interrupted a call of the library. Then nothing is used or found valid
 * until the pump comes by, which tells of the fork first:
 *
 *	fork				pump
 *	closes as a thief (steal.h)
 *	waits until engines are out
 *	fork_late, kicks
 *	the copy			odd, waits for the lock
 *	returns, gives the lock back	closes the gate, tells of the fork, settles, opens
 */
#define GATE_NS 1500000000ULL

static void leave_to_pump(struct hmm_mm *mm)
{
	const uint64_t deadline = clock_ns() + GATE_NS;

	steal_close(mm);
	for (unsigned int n = 0; !steal_may_read(mm) && !deadline_passed(deadline); n++)
		deadline_pause(n);
	atomic_store(&mm->fork_late, true);
	pump_kick(mm);
}

static void kill_all(struct hmm_mm *mm)
{
	struct hmm_invalidation inv = every_fork;
	const uint64_t faulted = atomic_load(&mm->faulted);

	if (hmm_mutation(HMM_MUTATION_NO_FORK_KILL))
		return;
	if (inside_library || (fork_held.depth && fork_held.mm == mm) ||
	    gate_close(mm, clock_ns() + GATE_NS)) {
		leave_to_pump(mm);
		return;
	}
	notifiers_invalidate(mm, &inv);
	gate_open(mm);
	atomic_store(&mm->told, faulted);
}

/* Tells of a fork that could not be told of when it was. */
static void tell_late(struct hmm_mm *mm, bool closed)
{
	struct hmm_invalidation inv = every_fork;

	/* A child has nothing to tell its devices. */
	if (!atomic_exchange(&mm->fork_late, false) || mm_inherited(mm))
		return;
	if (closed)
		notifiers_invalidate(mm, &inv);
	else
		mm_invalidate(mm, &inv, 0);
}

static void kill_early(struct hmm_mm *mm, void *arg)
{
	(void)arg;
	kill_all(mm);
}

static void kill_late(struct hmm_mm *mm, void *arg)
{
	(void)arg;
	if (atomic_load(&mm->faulted) != atomic_load(&mm->told))
		kill_all(mm);
}

static void prepare_early(void)
{
	spaces_for_each(kill_early, NULL);
}

static void prepare_late(void)
{
	epoch_forking(true);
	mine++;
	atomic_fetch_add(&under_way, 1);
	spaces_for_each(kill_late, NULL);
}

/* Its prepare handler has not run if the library was loaded during the fork. */
static void parent(void)
{
	if (!mine)
		return;
	mine--;
	epoch_forking(false);
	atomic_fetch_add(&under_way, OVER - 1);
}

/* In a child: what was going on was the parent's. Only what is legal between fork and exec. */
static void forget(void)
{
	spaces_forget();
	log_forked();
	atomic_store(&under_way, 0);
	mine = 0;
	thread_forked();
}

static void child(void)
{
	epoch_look();
	if (!mine)
		return;
	/* Nothing of ours was ever used: there was nothing to close. */
	mine = 0;
	epoch_forking(false);
	atomic_store(&under_way, 0);
}

static int late_installed = -EAGAIN;

static __attribute__((constructor)) void install_late(void)
{
	epoch_on_begin(forget);
	late_installed = -pthread_atfork(prepare_late, parent, child);
}

static int install_early(void)
{
	static struct epoch_lock lock;
	static bool done; /* lock */
	int err = 0;

	epoch_lock(&lock);
	if (!done)
		err = -pthread_atfork(prepare_early, NULL, NULL);
	done |= !err;
	epoch_unlock(&lock);
	return err;
}

/* ---- faults ---------------------------------------------------------------------------------- */

int mm_fork_wait(uint64_t deadline, uint64_t *word)
{
	for (unsigned int n = 0; (*word = atomic_load(&under_way)) & UNDER_WAY; n++) {
		if (mine)
			return -EDEADLK;
		if (deadline_passed(deadline))
			return -ETIME;
		deadline_pause(n);
	}
	return 0;
}

bool mm_fork_passed(struct hmm_mm *mm, uint64_t word)
{
	atomic_fetch_add(&mm->faulted, 1);
	return atomic_load(&under_way) != word;
}

/* ---- a space --------------------------------------------------------------------------------- */

int fork_attach(struct hmm_mm *mm)
{
	int err = late_installed ? late_installed : install_early();

	if (err)
		return err;
	mm->tell_fork = tell_late;
	mm->epoch = epoch_now();
	if (!mm->epoch)
		return -EOPNOTSUPP;
	mm->token = pool_map(4096);
	return mm->token ? 0 : -ENOMEM;
}

static uint64_t token_start(const struct hmm_mm *mm)
{
	return (uint64_t)(uintptr_t)mm->token;
}

/*
 * The kernel tells of a fork if something is registered: always. Else one that comes between a
 * fault's populating and the first registration would leave pages shared that were just made the
 * fault's own. Not before the pump reads: the fork of another thread waits for that.
 */
int fork_watch(struct hmm_mm *mm)
{
	const uint64_t start = token_start(mm);

	if (mm->provider.event_fork &&
	    mm->provider.ops->watch(&mm->provider, start, start + (uint64_t)sysconf(_SC_PAGESIZE)))
		mm->provider.event_fork = false;
	return spaces_add(mm);
}

/*
 * Once it is dead, and the pump still reads: unmapping a registered page would wait for that, and
 * so would a fork.
 */
void fork_unwatch(struct hmm_mm *mm)
{
	const uint64_t start = token_start(mm);

	spaces_remove(mm);
	if (mm->provider.event_fork)
		mm->provider.ops->unwatch(&mm->provider, start,
					  start + (uint64_t)sysconf(_SC_PAGESIZE));
}
