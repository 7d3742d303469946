/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The program closed our descriptors: daemon(3)-like clean-up closes all that it does not know. Events are not to be
 * had any more, so nothing is valid any more: the space is dead, as after detaching. Nobody waits for us: without
 * our descriptors the kernel forgets what was registered.
 */
#include "space/space.h"
#include "base/log.h"

void mm_lost(struct hmm_mm *mm)
{
	if (atomic_exchange(&mm->lost, 1))
		return;
	atomic_store(&mm->dead, 1);
	if (!atomic_load(&mm->stopping))
		log_say(HMM_LOG_ERROR, "the program closed descriptors of the library (closefrom, "
				       "close_range): the "
				       "address space is let go of. Attach after closing.");
}
