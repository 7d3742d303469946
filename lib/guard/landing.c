// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The guards that a thread has armed, innermost first, and the way to their landings. */
#include "guard/context.h"
#include "guard/guard.h"

#include <stdatomic.h>

static _Thread_local struct hmm_guard *volatile innermost INITIAL_EXEC;

void guard_push(struct hmm_guard *guard)
{
	if (innermost != guard) {
		guard->outer = innermost;
		innermost = guard;
	}
	atomic_signal_fence(memory_order_seq_cst);
}

void hmm_guard_disarm(struct hmm_guard *guard)
{
	atomic_signal_fence(memory_order_seq_cst);
	if (innermost == guard)
		innermost = guard->outer;
}

/* In the place of the access, after the handler. */
static void land(void *arg)
{
	struct hmm_guard *guard = arg;

	_longjmp(guard->landing, 1);
}

bool guard_land(uintptr_t addr, void *context)
{
	struct hmm_guard *guard = innermost;

	while (guard && (addr < guard->start || addr >= guard->end))
		guard = guard->outer;
	if (!guard)
		return false;
	guard->hit = addr;
	innermost = guard->outer;
	context_call(context, land, guard);
	return true;
}
