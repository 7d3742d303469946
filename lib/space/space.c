// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "space/space.h"
#include "base/epoch.h"

#include <errno.h>

_Thread_local struct fork_held fork_held __attribute__((tls_model("initial-exec")));

bool mm_inherited(const struct hmm_mm *mm)
{
	return epoch_inherited(mm->epoch);
}

int mm_alive(const struct hmm_mm *mm)
{
	if (mm_inherited(mm))
		return -ESRCH;
	return __builtin_expect(atomic_load_explicit(&mm->dead, memory_order_relaxed), 0) ? -ESRCH
											  : 0;
}

void mm_get(struct hmm_mm *mm)
{
	atomic_fetch_add(&mm->refs, 1);
}

void mm_put(struct hmm_mm *mm)
{
	if (atomic_fetch_sub(&mm->refs, 1) == 1)
		mm->release(mm);
}
