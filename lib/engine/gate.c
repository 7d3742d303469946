// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The gate. Engines use translations inside sections. The pump closes the gate and waits until all
 * engines have left their sections. The accesses of both sides are sequentially consistent:
 *
 *	engine				closer
 *	state = IN			closed = 1
 *	closed? -> leave, wait		state == IN? -> wait
 *
 * At least one of the two sees the other. Sleeping works in the same way: with `waiting` and `left`
 * for the closer, with `sleepers` and `closed` for engines.
 */
#include "engine/gate.h"
#include "space/debug.h"
#include "space/space.h"
#include "provider/log.h"
#include "kernel/thread.h"
#include "base/deadline.h"
#include "base/futex.h"
#include "base/grow.h"
#include "base/mutation.h"
#include "base/nocancel.h"
#include "base/number.h"
#include "base/pool.h"
#include "base/trace.h"

#include <errno.h>
#include <sched.h>

/*
 * How many pauses, of about 40 ns, a thread makes before it sleeps until the other side is done.
 * Both sides work for microseconds, but in a guest it takes 60 us to wake a thread on a CPU that
 * went idle. With a closer that slept after 400 pauses, and made engines sleep for it, a job under
 * 50,000 munmaps a second kept 0.50 of its throughput; with 2500 it keeps 0.77. A thread that waits
 * for another on its own CPU sleeps at once.
 */
#define SPIN_CLOSER 2500
#define SPIN_ENGINE 1500
/* an engine that sleeps inside its section is run over after this time */
#define OVERRUN_ASLEEP_NS 10000000ULL
#define OVERRUN_AWAKE_NS 1000000000ULL /* any other engine is run over after this time */

int gate_init(struct gate *gate, struct hmm_mm *mm)
{
	pthread_mutex_init(&gate->lock, NULL);
	gate->engines = pool_map(ENGINES_MAX * sizeof(struct hmm_engine));
	return gate->engines ? 0 : -ENOMEM;
}

void gate_fini(struct gate *gate)
{
	pool_unmap(gate->engines, ENGINES_MAX * sizeof(struct hmm_engine));
	pthread_mutex_destroy(&gate->lock);
}

/* ---- engines --------------------------------------------------------------------------------- */

int hmm_engine_create(struct hmm_mm *mm, struct hmm_engine **engine)
{
	struct gate *gate = &mm->gate;
	int err;

	DEBUG_CALL(mm, DEBUG_BLOCKS);
	err = mm_alive(mm);
	if (err)
		return err;
	for (uint32_t i = 0; i < ENGINES_MAX; i++) {
		struct hmm_engine *e = &gate->engines[i];
		uint32_t top = atomic_load(&gate->engines_top);
		uint32_t free = 0;

		if (!atomic_compare_exchange_strong(&e->used, &free, 1))
			continue;
		e->mm = mm;
		mm_get(mm);
		atomic_store(&e->state, ENGINE_OUT);
		while (top <= i && !atomic_compare_exchange_weak(&gate->engines_top, &top, i + 1))
			;
		*engine = e;
		return 0;
	}
	return -ENOSPC;
}

void hmm_engine_destroy(struct hmm_engine *engine)
{
	struct hmm_mm *mm;

	if (!engine || mm_inherited(engine->mm))
		return;
	DEBUG_CALL(NULL, DEBUG_QUICK);
	if (debug_is_on())
		debug_engine_destroy(engine, __builtin_return_address(0));
	mm = engine->mm;
	atomic_store(&engine->used, 0);
	mm_put(mm);
}

static void tell_closer(struct gate *gate)
{
	if (atomic_load(&gate->waiting)) {
		atomic_fetch_add(&gate->left, 1);
		futex_wake(&gate->left);
	}
}

static int wait_open(struct gate *gate, uint64_t deadline)
{
	int cpu = sched_getcpu();
	int ret = 0;

	for (int i = 0; i < SPIN_ENGINE; i++) {
		if (!atomic_load_explicit(&gate->closed, memory_order_relaxed))
			return 0;
		if (atomic_load_explicit(&gate->closer_cpu, memory_order_relaxed) == cpu)
			break;
		cpu_relax();
	}
	atomic_fetch_add(&gate->sleepers, 1);
	for (uint32_t closed; !ret && (closed = atomic_load(&gate->closed));) {
		futex_wait(&gate->closed, closed, deadline_slice_ns(deadline));
		if (atomic_load(&gate->closed) && deadline_passed(deadline) &&
		    !hmm_mutation(HMM_MUTATION_NO_DEADLINE))
			ret = -ETIME;
	}
	atomic_fetch_sub(&gate->sleepers, 1);
	return ret;
}

/*
 * Where a log tells of changes no caller waits for the gate. So an engine is let in when nothing
 * has begun that drivers were not told of, and its section stands if nothing was read until it
 * ended. What begins after that finds no translation in use.
 */
static bool log_lets_in(struct hmm_engine *e)
{
	struct hmm_mm *mm = e->mm;
	struct log *log = mm->log;

	if (mm_alive(mm))
		return true; /* what devices had was taken from them */
	if (!log_is_quiet(log) && !mm->drain(mm))
		return false;
	e->queued = atomic_load(&log->queued);
	return atomic_load(&log->delivered) == e->queued;
}

static bool log_stands(const struct hmm_engine *e)
{
	struct hmm_mm *mm = e->mm;
	const struct log *log = mm->log;

	return mm_alive(mm) ||
	       ((log_is_quiet(log) || mm->drain(mm)) && atomic_load(&log->queued) == e->queued);
}

static bool leave(struct hmm_engine *e)
{
	uint32_t was = atomic_exchange(&e->state, ENGINE_OUT);

	tell_closer(&e->mm->gate);
	return was != ENGINE_OVERRUN && !mm_inherited(e->mm);
}

static bool leave_section(struct hmm_engine *e)
{
	const bool stands = leave(e);

	if (!e->mm->log || !stands)
		return stands;
	if (log_stands(e))
		return true;
	count(&e->mm->stats.overruns, 1);
	return false;
}

void hmm_engine_enter(struct hmm_engine *e)
{
	if (debug_is_on())
		debug_enter(e, __builtin_return_address(0));
	atomic_store_explicit(&e->tid, thread_self(), memory_order_relaxed);
	atomic_store_explicit(&e->cpu, sched_getcpu(), memory_order_relaxed);
	for (unsigned int round = 0;; round++) {
		atomic_exchange(&e->state, ENGINE_IN);
		if (__builtin_expect(!atomic_load(&e->mm->gate.closed), 1) &&
		    (!e->mm->log || log_lets_in(e)))
			return;
		/* A forked child does not have the thread that closed the gate. */
		if (mm_inherited(e->mm))
			return;
		leave(e);
		wait_open(&e->mm->gate, 0);
		if (e->mm->log)
			deadline_spin(round);
	}
}

/* A function of its own, so that the usual way out needs no stack frame. */
static __attribute__((noinline, cold)) bool exit_checked(struct hmm_engine *e, const void *site)
{
	debug_exit(e, site);
	return leave_section(e);
}

bool hmm_engine_exit(struct hmm_engine *e)
{
	if (debug_is_on())
		return exit_checked(e, __builtin_return_address(0));
	return leave_section(e);
}

bool hmm_engine_poll(const struct hmm_engine *e)
{
	return atomic_load_explicit(&e->mm->gate.closed, memory_order_relaxed) != 0 ||
	       atomic_load_explicit(&e->state, memory_order_relaxed) == ENGINE_OVERRUN;
}

/* ---- commit sections ------------------------------------------------------------------------- */

static void leave_commit(struct hmm_mm *mm)
{
	atomic_fetch_sub(&mm->gate.commits, 1);
	tell_closer(&mm->gate);
}

bool gate_commit_try(struct hmm_mm *mm)
{
	atomic_fetch_add(&mm->gate.commits, 1);
	if (!atomic_load(&mm->gate.closed)) {
		if (debug_is_on())
			debug_commit_begun();
		return true;
	}
	leave_commit(mm);
	return false;
}

int gate_wait_open(struct hmm_mm *mm, uint64_t deadline)
{
	return wait_open(&mm->gate, deadline);
}

void hmm_mm_commit_begin(struct hmm_mm *mm)
{
	if (debug_is_on())
		debug_commit_begin(mm, __builtin_return_address(0));
	while (!gate_commit_try(mm) && !mm_inherited(mm))
		wait_open(&mm->gate, 0);
}

void hmm_mm_commit_end(struct hmm_mm *mm)
{
	if (debug_is_on() && !debug_commit_end(mm, __builtin_return_address(0)))
		return;
	leave_commit(mm);
}

/* ---- the closer ------------------------------------------------------------------------------ */

static bool is_empty(struct gate *gate)
{
	uint32_t top = atomic_load(&gate->engines_top);

	if (atomic_load(&gate->commits))
		return false;
	for (uint32_t i = 0; i < top; i++) {
		if (atomic_load(&gate->engines[i].state) == ENGINE_IN)
			return false;
	}
	return true;
}

/* Is an engine inside its section on this CPU, so that spinning would keep it from leaving? */
static bool in_the_way(struct gate *gate)
{
	uint32_t top = atomic_load(&gate->engines_top);
	int cpu = sched_getcpu();

	for (uint32_t i = 0; i < top; i++) {
		struct hmm_engine *e = &gate->engines[i];

		if (atomic_load(&e->state) == ENGINE_IN &&
		    atomic_load_explicit(&e->cpu, memory_order_relaxed) == cpu)
			return true;
	}
	return false;
}

static bool sleeps(const struct hmm_engine *e)
{
	const pid_t tid = atomic_load_explicit(&e->tid, memory_order_relaxed);
	long nr;

	/*
	 * An engine whose thread is not found among ours may be in another process that shares the
	 * memory, so it counts as running. A thread that a debugger has stopped may be about to
	 * store, as one that was preempted, so it does not count as sleeping. Nor does one that was
	 * stopped at the first look and runs at the second.
	 */
	return thread_state(tid, &nr) == THREAD_SLEEPS && thread_waits(tid);
}

static void overrun(struct hmm_mm *mm, const struct hmm_engine *e)
{
	count(&mm->stats.overruns, 1);
	hmm_trace(overrun, mm, atomic_load(&e->tid));
}

/*
 * The gate cannot wait for an engine that sleeps in a fault: what wakes it may be the very event
 * that is not read yet (rule 5 in docs/protocol.md). So its section is marked as overrun, and the
 * engine throws away what it read and begins again. The gate waits for an engine that was
 * preempted, as it may be about to store, but no longer than OVERRUN_AWAKE_NS.
 */
void gate_overrun(struct hmm_mm *mm, bool awake_too)
{
	struct gate *gate = &mm->gate;
	uint32_t top = atomic_load(&gate->engines_top);

	for (uint32_t i = 0; i < top; i++) {
		struct hmm_engine *e = &gate->engines[i];
		uint32_t in = ENGINE_IN;

		if (atomic_load(&e->state) != ENGINE_IN || !(awake_too || sleeps(e)))
			continue;
		if (atomic_compare_exchange_strong(&e->state, &in, ENGINE_OVERRUN))
			overrun(mm, e);
	}
}

bool gate_has_overrun(struct hmm_mm *mm)
{
	struct gate *gate = &mm->gate;
	uint32_t top = atomic_load(&gate->engines_top);

	for (uint32_t i = 0; i < top; i++) {
		if (atomic_load(&gate->engines[i].state) == ENGINE_OVERRUN)
			return true;
	}
	return false;
}

static int wait_empty(struct hmm_mm *mm, uint64_t deadline)
{
	struct gate *gate = &mm->gate;
	uint64_t began = 0;
	int ret = 0;

	for (int i = 0; i < SPIN_CLOSER; i++) {
		if (is_empty(gate))
			return 0;
		if (in_the_way(gate))
			break;
		cpu_relax();
	}
	atomic_store(&gate->waiting, 1);
	for (;;) {
		uint32_t left = atomic_load(&gate->left);

		if (is_empty(gate))
			break;
		if (deadline_passed(deadline)) {
			ret = -ETIME;
			break;
		}
		if (!began)
			began = clock_ns();
		else if (clock_ns() - began > OVERRUN_ASLEEP_NS)
			gate_overrun(mm, clock_ns() - began > OVERRUN_AWAKE_NS);
		futex_wait(&gate->left, left, 1000000);
	}
	atomic_store(&gate->waiting, 0);
	return ret;
}

/*
 * Lets engines in again, unless a thief has closed the gate, too: then the pump opens it. Releases
 * gate.lock.
 */
static void unshut(struct hmm_mm *mm)
{
	if (atomic_fetch_and(&mm->gate.closed, ~GATE_CLOSER) == GATE_CLOSER &&
	    atomic_load(&mm->gate.sleepers))
		futex_wake(&mm->gate.closed);
	pthread_mutex_unlock(&mm->gate.lock);
	held_end(mm);
}

static void quiesce(struct hmm_quiescer *q)
{
	DEBUG_CALLBACK("hmm_quiescer_ops.quiesce");

	q->ops.quiesce(q->priv);
}

static void resume(struct hmm_quiescer *q)
{
	DEBUG_CALLBACK("hmm_quiescer_ops.resume");

	q->ops.resume(q->priv);
}

/* The caller holds gate.lock. */
static void quiesce_all(struct gate *gate)
{
	if (atomic_load(&gate->quiesced))
		return; /* a thief has stopped them, and we let them go on */
	for (struct hmm_quiescer *q = gate->quiescers; q; q = q->next)
		quiesce(q);
	atomic_store(&gate->quiesced, 1);
}

/*
 * The pump may have opened the gate before the thief has gate.lock. Then nobody would let go on
 * what the thief stops. While the thief has the lock the pump cannot take its closing away.
 */
bool gate_try_quiesce(struct hmm_mm *mm)
{
	struct gate *gate = &mm->gate;

	if (atomic_load(&gate->quiesced))
		return true;
	if (pthread_mutex_trylock(&gate->lock))
		return false;
	if (gate_has_thieves(mm))
		quiesce_all(gate);
	pthread_mutex_unlock(&gate->lock);
	return true;
}

int gate_close(struct hmm_mm *mm, uint64_t deadline)
{
	struct gate *gate = &mm->gate;
	int ret;

	held_begin(mm);
	ret = deadline_lock(&mm->gate.lock, deadline);
	if (ret) {
		held_not();
		return ret;
	}
	atomic_store_explicit(&gate->closer_cpu, sched_getcpu(), memory_order_relaxed);
	atomic_fetch_or(&gate->closed, GATE_CLOSER);
	if (hmm_mutation(HMM_MUTATION_NO_QUIESCE))
		return 0;
	ret = wait_empty(mm, deadline);
	if (ret)
		unshut(mm);
	else
		quiesce_all(gate);
	return ret;
}

/*
 * Lets the devices go on, unless a thief relies on their being stopped:
 *
 *	opener				thief
 *	quiesced = 0			closed += GATE_THIEF
 *	thieves? quiesced = 1		quiesced?
 */
static void resume_all(struct gate *gate)
{
	if (!atomic_exchange(&gate->quiesced, 0))
		return;
	if (atomic_load(&gate->closed) & GATE_THIEVES) {
		atomic_store(&gate->quiesced, 1);
		return;
	}
	for (struct hmm_quiescer *q = gate->quiescers; q; q = q->next)
		resume(q);
}

void gate_open(struct hmm_mm *mm)
{
	if (__builtin_expect(atomic_load(&mm->fork_late), 0))
		mm->tell_fork(mm, true);
	if (!hmm_mutation(HMM_MUTATION_NO_QUIESCE))
		resume_all(&mm->gate);
	unshut(mm);
}

/* ---- devices that stop as a whole ------------------------------------------------------------ */

int hmm_quiescer_add(struct hmm_mm *mm, const struct hmm_quiescer_ops *ops, void *priv,
		     struct hmm_quiescer **quiescer)
{
	DEBUG_CALL(mm, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	struct hmm_quiescer_ops own;
	struct hmm_quiescer *q;
	int err = mm_alive(mm);

	if (err)
		return err;
	err = grow_take(&own, sizeof(own), ops, GROW_LEAST(struct hmm_quiescer_ops, resume));
	if (err)
		return err;
	if (!own.quiesce || !own.resume)
		return -EINVAL;
	q = objpool_get(&mm->notifiers_pool);
	if (!q)
		return -ENOMEM;
	q->mm = mm;
	mm_get(mm);
	q->ops = own;
	q->priv = priv;
	pthread_mutex_lock(&mm->gate.lock);
	q->next = mm->gate.quiescers;
	mm->gate.quiescers = q;
	if (atomic_load(&mm->gate.quiesced))
		quiesce(q);
	pthread_mutex_unlock(&mm->gate.lock);
	*quiescer = q;
	return 0;
}

void hmm_quiescer_remove(struct hmm_quiescer *quiescer)
{
	DEBUG_CALL(NULL, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	struct hmm_mm *mm;

	if (!quiescer || mm_inherited(quiescer->mm))
		return;
	mm = quiescer->mm;
	pthread_mutex_lock(&mm->gate.lock);
	for (struct hmm_quiescer **q = &mm->gate.quiescers; *q; q = &(*q)->next) {
		if (*q == quiescer) {
			*q = quiescer->next;
			break;
		}
	}
	pthread_mutex_unlock(&mm->gate.lock);
	objpool_put(&mm->notifiers_pool, quiescer);
	mm_put(mm);
}
