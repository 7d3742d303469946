// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The settler: a thread of each space that has a log. After something was lost it takes the lock of
 * the address space (provider/log.h). Another thread of the program may hold the lock for as long
 * as it does not run, and the kernel knows no way to stop waiting. So no call of the program's, no
 * callback and no event waits for the settler, only the end of the space does.
 */
#include "pump/pump.h"
#include "notifier/drain.h"
#include "provider/log.h"
#include "base/futex.h"

void *settler_main(void *arg)
{
	struct hmm_mm *mm = arg;
	uint32_t resolved = 0;
	uint32_t doubts;

	while (ownthread_goes_on(&mm->log->doubts, &mm->stopping, &doubts)) {
		if (doubts == resolved)
			futex_wait(&mm->log->doubts, doubts, HMM_FOREVER);
		else
			resolved = log_resolve(mm);
	}
	return NULL;
}
