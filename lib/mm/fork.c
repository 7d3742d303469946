// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Fork (rule 10 in docs/protocol.md). Atfork handlers see a fork through libc, which needs no
 * privilege: they invalidate writable translations before the kernel copies the space, and the
 * child closes the descriptors that it inherited. A raw clone is seen by its event, which needs
 * privilege, and by the child itself, through a page that forking wipes (base/epoch.h): the child
 * refuses every handle.
 *
 * A fork never waits for a fault, as the fault may itself wait for the thread that forks. fork()
 * runs the prepare handlers from the one that was registered last to the first. We have two. The
 * first attachment registers one, which therefore runs early, before handlers of the program have
 * taken their locks; it invalidates. The other is registered when the library is loaded, and runs
 * late. Translations that were faulted between the two are invalidated by the late handler; a fault
 * that is still under way begins again:
 *
 *	a fault				fork
 *					early: told = faulted; invalidate
 *	word = under_way: none
 *	populates, reads its sequence
 *	looks, checks
 *					late: under_way changes
 *					told == faulted? then nobody has a translation
 *					the copy: pages are shared from now on
 *	faulted++
 *	under_way == word? no: again
 *
 * If the fault adds to `faulted` before the late handler looks, that handler invalidates once more.
 * In either order one of the two sees the other, as both accesses are sequentially consistent. From
 * the late handler to the end of the fork no fault succeeds.
 */
#include "mm/fork.h"
#include "pump/kick.h"
#include "pump/steal.h"
#include "devmem/devmem.h"
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

/* mask: how many forks are between the late handler and their end */
#define UNDER_WAY 0xffffffffULL
#define OVER (1ULL << 32) /* adds one to the number of forks that have ended */

static _Atomic uint64_t under_way;
/* How many of the forks under way are this thread's. */
static _Thread_local unsigned int mine __attribute__((tls_model("initial-exec")));

/* ---- the handlers ---------------------------------------------------------------------------- */

static const struct hmm_invalidation every_fork = { .start = 0,
						    .end = UINT64_MAX,
						    .event = HMM_EVENT_FORK };

/*
 * A closed gate is empty after a second (gate.c). If the gate cannot be closed for longer than
 * that, its closer hangs in a driver's callback. Or this thread itself has the gate or another lock
 * of ours, as it forks in a callback or in a signal handler that interrupted a call of the library.
 * Then the fork closes the gate as a thief. Until the pump has invalidated for the fork no
 * translation is used or found valid:
 *
 *	fork				pump
 *	closes as a thief (steal.h)
 *	waits until engines are out
 *	fork_late, kicks
 *	the copy			odd, waits for the lock
 *	returns, releases the lock	closes the gate, invalidates, handles, opens
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

/* Invalidates for a fork that had to leave it to the pump. closed: the gate is closed. */
static void tell_late(struct hmm_mm *mm, bool closed)
{
	struct hmm_invalidation inv = every_fork;

	/* In a child there are no devices to tell. */
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

static void home(struct hmm_mm *mm, void *arg)
{
	(void)arg;
	devmem_fork_begin(mm);
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
	spaces_for_each(home, NULL);
	spaces_for_each(kill_late, NULL);
}

/* If the library was loaded during this fork prepare_late() has not run. */
static void parent(void)
{
	if (!mine)
		return;
	mine--;
	epoch_forking(false);
	atomic_fetch_add(&under_way, OVER - 1);
}

/* A child forgets the state of its parent. Does only what is allowed between fork and exec. */
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
	/* epoch_look() has not run forget(), as the library was not used before the fork. */
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

bool mm_forking(void)
{
	return atomic_load(&under_way) & UNDER_WAY;
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
 * The kernel tells of a fork only while something is registered, so a page is registered all the
 * time. Without it a fork between a fault's populating and the first registration would not be
 * seen, and the child would share the pages that were populated. The pump must read before, as the
 * fork of another thread waits until its event is read.
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
 * Called when the space is dead and the pump still reads: the unmapping of a registered page waits
 * for the pump, and a fork does.
 */
void fork_unwatch(struct hmm_mm *mm)
{
	const uint64_t start = token_start(mm);

	spaces_remove(mm);
	if (mm->provider.event_fork)
		mm->provider.ops->unwatch(&mm->provider, start,
					  start + (uint64_t)sysconf(_SC_PAGESIZE));
}
