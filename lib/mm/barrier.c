// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Waiting until every change that took effect is invalidated. */
#include "files/files.h"
#include "engine/gate.h"
#include "provider/log.h"
#include "space/debug.h"
#include "space/space.h"
#include "base/deadline.h"
#include "base/hooks.h"
#include "base/nocancel.h"

#include <errno.h>

/*
 * The log was read to its end once since the call began. Have the callbacks of all that was read by
 * then run? *upto: how many that are; 0: it was not read yet.
 */
static bool is_told(struct hmm_mm *mm, uint64_t *upto)
{
	if (!mm->log)
		return true;
	if (!*upto) {
		if (mm_in_flight(mm))
			return false;
		*upto = atomic_load(&mm->log->queued) + 1;
	}
	return atomic_load(&mm->log->delivered) + 1 >= *upto;
}

/* Is the space at rest now: every change that took effect is invalidated? */
static bool at_rest(struct hmm_mm *mm, uint64_t *upto)
{
	uint64_t seq = atomic_load(&mm->pump_seq);

	if (!is_told(mm, upto))
		return false;
	if (mm->log && !mm_registers(mm))
		return !gate_has_thieves(mm);
	if (seq & 1 || mm_event_waits(mm))
		return false;
	hmm_hook(HMM_POINT_PROBED);
	return !gate_has_thieves(mm) && atomic_load(&mm->pump_seq) == seq;
}

int hmm_mm_barrier(struct hmm_mm *mm, uint64_t timeout_ns)
{
	DEBUG_CALL(mm, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;
	uint64_t deadline = deadline_after(timeout_ns);
	uint64_t upto = 0;
	int err;

	mm_refused_forget();
	for (unsigned int round = 0;; round++) {
		err = mm_alive(mm);
		if (err || (at_rest(mm, &upto) && files_closed(mm)))
			return err;
		err = mm_refused();
		if (err)
			return err;
		if (deadline_passed(deadline))
			return -ETIME;
		deadline_spin(round);
	}
}
