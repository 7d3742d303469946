/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * stands: is a translation valid? What is valid stays so, but an answer may be no meanwhile: a slow
 * thief closes the gate after the pump has read, or the pump has the log's lock and no processor.
 * What is stale stays stale.
 */
#ifndef TESTS_STANDS_H
#define TESTS_STANDS_H

#include <hmm/notifier.h>

#include <stdbool.h>
#include <unistd.h>

static inline bool stands(struct hmm_interval_notifier *ni, uint64_t seq)
{
	for (int ms = 0; ms < 30000; ms++, usleep(1000))
		if (!hmm_interval_stale(ni, seq))
			return true;
	return false;
}

#endif
