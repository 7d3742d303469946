// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The in-flight probe (rule 2 in docs/protocol.md): its answer is about an instant during the call.
 */
#include "space/probe.h"
#include "space/space.h"
#include "provider/log.h"
#include "provider/provider.h"
#include "base/epoch.h"
#include "base/mutation.h"
#include "base/number.h"

#include <errno.h>

/*
 * The error of this thread's last probe that was not answered "no"; 0: it was answered "yes". Each
 * thread may have a seccomp filter of its own, which may answer the probe.
 */
static _Thread_local int refused __attribute__((tls_model("initial-exec")));

bool mm_event_waits(struct hmm_mm *mm)
{
	int busy;

	if (hmm_mutation(HMM_MUTATION_NO_PROBE))
		return false;
	busy = mm->provider.ops->in_flight(&mm->provider);
	count(&mm->stats.probes, 1);
	if (__builtin_expect(!busy, 1))
		return false;
	count(&mm->stats.probes_busy, 1);
	if (busy == -EBADF)
		mm_lost(mm);
	refused = busy < 0 ? busy : 0;
	return true;
}

bool mm_in_flight(struct hmm_mm *mm)
{
	if (!mm->log)
		return mm_event_waits(mm);
	if (hmm_mutation(HMM_MUTATION_NO_PROBE))
		return false;
	return mm_in_flight_log(mm);
}

/* One in this many checks of a thread looks whether the log is still ours, if nobody else does. */
#define CHECKS_A_LOOK 64

static _Thread_local unsigned int checks __attribute__((tls_model("initial-exec")));

bool mm_in_flight_log(struct hmm_mm *mm)
{
	struct log *log = mm->log;

	if (atomic_load(&log->alone) && !(checks++ % CHECKS_A_LOOK)) {
		bool again;

		if (!log_is_held(log, &again)) {
			mm_lost(mm);
			return true;
		}
		if (again)
			checks = 0;
	}
	if (log_is_quiet(log))
		return false;
	count(&mm->stats.probes_busy, 1);
	return !mm->drain(mm);
}

bool mm_in_flight_looked(struct hmm_mm *mm)
{
	/* The quick ones are counted here. */
	if (provider_looks())
		count(&mm->stats.probes, PROBES_A_LOOK - 1);
	return mm_event_waits(mm);
}

int mm_refused(void)
{
	return refused == -EBADF ? -ESRCH : refused;
}

void mm_refused_forget(void)
{
	refused = 0;
}
