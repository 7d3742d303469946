/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Reading under a sequence, and validated use (rule 2):
 *
 *	valid = pump idle, sequence unchanged, nothing in flight, pump still idle in the same cycle
 *
 * The probe's answer "nothing in flight" is about an instant between the two looks at pump_seq. A
 * change that had taken effect before that instant was read before it, so a pump cycle has begun: either
 * it is over (the sequence tells) or pump_seq is odd or has moved.
 */
#include "pump/steal.h"
#include "base/nocancel.h"

#include <errno.h>
#include <sched.h>

/* What the probe last answered to this thread beside yes and no: filters are a thread's. */
static _Thread_local int refused __attribute__((tls_model("initial-exec")));

bool mm_in_flight(struct hmm_mm *mm)
{
	int busy;

	if (hmm_mutation(HMM_MUTATION_NO_PROBE))
		return false;
	busy = mm->provider.ops->in_flight(&mm->provider);
	stat_add(&mm->stats.probes, 1);
	if (__builtin_expect(!busy, 1))
		return false;
	stat_add(&mm->stats.probes_busy, 1);
	if (busy == -EBADF)
		mm_lost(mm);
	refused = busy < 0 ? busy : 0;
	return true;
}

/* Is the space at rest now: every change that took effect is invalidated? */
static bool at_rest(struct hmm_mm *mm)
{
	uint64_t seq = atomic_load(&mm->pump_seq);

	if (seq & 1 || mm_in_flight(mm))
		return false;
	hmm_hook(HMM_POINT_PROBED);
	return !steal_pending(mm) && atomic_load(&mm->pump_seq) == seq;
}

bool hmm_interval_check_retry(const struct hmm_interval_notifier *ni, uint64_t seq)
{
	return atomic_load(&ni->seq) != seq;
}

bool hmm_interval_valid(struct hmm_interval_notifier *ni, uint64_t seq)
{
	struct hmm_mm *mm = ni->mm;
	uint64_t pump = atomic_load(&mm->pump_seq);

	if (pump & 1 || atomic_load(&ni->seq) != seq || mm_alive(mm) || mm_in_flight(mm))
		return false;
	hmm_hook(HMM_POINT_PROBED);
	return !steal_pending(mm) && atomic_load(&mm->pump_seq) == pump &&
	       atomic_load(&ni->seq) == seq;
}

bool hmm_interval_read_retry(struct hmm_interval_notifier *ni, uint64_t seq)
{
	return !hmm_interval_valid(ni, seq);
}

static void back_off(unsigned int round)
{
	struct timespec ts = { 0, 20000 };

	if (round < 200)
		cpu_relax();
	else if (round < 220)
		sched_yield();
	else
		nanosleep(&ts, NULL);
}

int mm_refused(void)
{
	return refused == -EBADF ? -ESRCH : refused;
}

void mm_refused_forget(void)
{
	refused = 0;
}

int ni_read_begin(struct hmm_interval_notifier *ni, uint64_t deadline, uint64_t *seq)
{
	for (unsigned int round = 0; atomic_load(&ni->mm->pump_seq) & 1; round++) {
		if (mm_alive(ni->mm))
			break;
		if (deadline_passed(deadline) && !hmm_mutation(HMM_MUTATION_NO_DEADLINE))
			return -ETIME;
		back_off(round);
	}
	*seq = atomic_load(&ni->seq);
	return 0;
}

uint64_t hmm_interval_read_begin(struct hmm_interval_notifier *ni)
{
	uint64_t seq = 0;

	ni_read_begin(ni, 0, &seq);
	return seq;
}

int hmm_mm_barrier(struct hmm_mm *mm, uint64_t timeout_ns)
{
	HMM_CANCEL_POINT;
	uint64_t deadline = deadline_after(timeout_ns);
	int err;

	refused = 0;
	for (unsigned int round = 0; !(err = mm_alive(mm)) && !(at_rest(mm) && files_closed(mm));
	     round++) {
		if (refused)
			return mm_refused();
		if (deadline_passed(deadline))
			return -ETIME;
		back_off(round);
	}
	return err;
}
