/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The in-flight probe for callers to whom each nanosecond counts, see provider/quick.h. */
#ifndef LIB_SPACE_PROBE_H
#define LIB_SPACE_PROBE_H

#include "space/space.h"
#include "provider/log.h"
#include "provider/quick.h"
#include "base/mutation.h"

/* The turn of a probe that looks whose the descriptor is, or something is in flight. */
bool mm_in_flight_looked(struct hmm_mm *mm);

/* The log has grown, or is to be looked at for another reason. */
bool mm_in_flight_log(struct hmm_mm *mm);

/* mm_in_flight(). With a log it is loads alone while that is quiet. */
static inline bool mm_in_flight_quick(struct hmm_mm *mm)
{
	if (mm->log && !hmm_mutation(HMM_MUTATION_NO_PROBE)) {
		if (__builtin_expect(log_is_quiet(mm->log) && !atomic_load(&mm->log->alone), 1))
			return false;
		return mm_in_flight_log(mm);
	}
	if (hmm_mutation(HMM_MUTATION_NO_PROBE) ||
	    __builtin_expect(provider_idle(&mm->provider), 1))
		return false;
	return mm_in_flight_looked(mm);
}

#endif
