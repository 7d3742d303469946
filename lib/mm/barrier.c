// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Waiting until every change that took effect is invalidated. */
#include "files/files.h"
#include "engine/gate.h"
#include "space/debug.h"
#include "space/space.h"
#include "base/deadline.h"
#include "base/hooks.h"
#include "base/nocancel.h"

#include <errno.h>

/* Is the space at rest now: every change that took effect is invalidated? */
static bool at_rest(struct hmm_mm *mm)
{
	uint64_t seq = atomic_load(&mm->pump_seq);

	if (seq & 1 || mm_in_flight(mm))
		return false;
	hmm_hook(HMM_POINT_PROBED);
	return !gate_has_thieves(mm) && atomic_load(&mm->pump_seq) == seq;
}

int hmm_mm_barrier(struct hmm_mm *mm, uint64_t timeout_ns)
{
	DEBUG_CALL(mm, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;
	uint64_t deadline = deadline_after(timeout_ns);
	int err;

	mm_refused_forget();
	for (unsigned int round = 0; !(err = mm_alive(mm)) && !(at_rest(mm) && files_closed(mm));
	     round++) {
		err = mm_refused();
		if (err)
			return err;
		if (deadline_passed(deadline))
			return -ETIME;
		deadline_spin(round);
	}
	return err;
}
