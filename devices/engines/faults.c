// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The fault buffer. Each engine has a slot, as it makes one access at a time.
 *
 *	FREE --engine--> PENDING --fetch--> FETCHED --done--> DONE --engine--> FREE
 */
#include <errno.h>
#include "base/futex.h"
#include "engines/runner.h"

/*
 * How many pauses, of about 40 ns, an engine makes before it sleeps until its fault is served.
 * Serving takes 20 us, and to be woken on a processor that went idle takes three times as long.
 */
#define SPIN_DONE 1000

/*
 * So many faults an engine serves itself until it looks at the handlers, 100 us or more. It looks
 * after each fault that it slept for.
 */
#define SERVED_MAX 8

static uint32_t wait_a_little(struct fault_slot *s)
{
	uint32_t state;

	for (int i = 0;
	     (state = atomic_load_explicit(&s->state, memory_order_relaxed)) == SLOT_FETCHED &&
	     i < SPIN_DONE;
	     i++)
		cpu_relax();
	return state;
}

/*
 *	engine			thread that serves the fault
 *	sleeps = 1		state = DONE
 *	state? wait		sleeps? wake
 *
 * At least one of the two sees the other. An engine that serves its own fault need not be woken,
 * which saves a system call.
 */
static void sleep_on(struct fault_slot *s, uint32_t state)
{
	atomic_store(&s->sleeps, 1);
	futex_wait(&s->state, state, 100000000);
	atomic_store(&s->sleeps, 0);
}

/* The program may have installed handlers while the engine was busy with the fault. */
static void look_sometimes(struct engine *e, bool slept)
{
	if (!slept && ++e->served < SERVED_MAX)
		return;
	e->served = 0;
	hmm_guard_look();
}

int fault_raise(struct engine *e, struct hmm_device_fault *f)
{
	struct runner *r = e->runner;
	struct fault_slot *s = &e->slot;
	bool slept = false;
	uint32_t state;
	int ret;

	bump(&e->stats.device_faults, 1);
	f->engine = f->cookie = e->ctx.engine;
	s->fault = *f;
	atomic_store(&s->state, SLOT_PENDING);
	/*
	 * Both accesses are sequentially consistent: a thread that sleeps has seen the fault, or
	 * this sees the thread.
	 */
	if (atomic_load(&r->fetchers)) {
		atomic_fetch_add(&r->raised, 1);
		futex_wake(&r->raised);
	}
	while ((state = atomic_load(&s->state)) != SLOT_DONE) {
		if (state == SLOT_PENDING) {
			ret = hmm_device_serve_faults(r->dev);
			if (ret && atomic_compare_exchange_strong(&s->state, &state, SLOT_FREE)) {
				bump(&e->stats.cancels, 1);
				return ret;
			}
		}
		state = wait_a_little(s);
		if (state != SLOT_DONE) {
			sleep_on(s, state);
			slept = true;
		}
	}
	*f = s->fault;
	ret = s->error;
	atomic_store(&s->state, SLOT_FREE);
	look_sometimes(e, slept);
	bump(ret ? &e->stats.cancels : &e->stats.replays, 1);
	return ret;
}

static unsigned int take(struct runner *r, struct hmm_device_fault *faults, unsigned int n)
{
	unsigned int taken = 0;

	for (unsigned int i = 0; i < r->n && taken < n; i++) {
		struct fault_slot *s = &r->engines[i].slot;
		uint32_t pending = SLOT_PENDING;

		if (atomic_load_explicit(&s->state, memory_order_relaxed) == SLOT_PENDING &&
		    atomic_compare_exchange_strong(&s->state, &pending, SLOT_FETCHED))
			faults[taken++] = s->fault;
	}
	return taken;
}

int runner_op_fetch_faults(struct hmm_device *dev, struct hmm_device_fault *faults, unsigned int n,
			   uint64_t timeout_ns)
{
	struct runner *r = runner_of(dev);
	unsigned int taken = take(r, faults, n);
	uint32_t raised;

	if (taken || timeout_ns == HMM_NO_WAIT)
		return (int)taken;
	atomic_fetch_add(&r->fetchers, 1);
	raised = atomic_load(&r->raised);
	taken = take(r, faults, n);
	if (!taken && !atomic_load(&r->closing)) {
		futex_wait(&r->raised, raised, timeout_ns);
		taken = take(r, faults, n);
	}
	atomic_fetch_sub(&r->fetchers, 1);
	if (!taken && atomic_load(&r->closing))
		return -ESHUTDOWN;
	return (int)taken;
}

int runner_op_fault_done(struct hmm_device *dev, const struct hmm_device_fault *fault, int error)
{
	struct runner *r = runner_of(dev);
	struct fault_slot *s;

	if (fault->cookie >= r->n)
		return -EINVAL;
	s = &r->engines[fault->cookie].slot;
	if (atomic_load(&s->state) != SLOT_FETCHED)
		return -EINVAL;
	s->fault = *fault;
	s->error = error;
	atomic_store(&s->state, SLOT_DONE);
	if (atomic_load(&s->sleeps))
		futex_wake(&s->state);
	return 0;
}
