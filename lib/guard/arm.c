// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "guard/guard.h"

int hmm_guard_arm(struct hmm_guard *guard, const void *ptr, size_t len)
{
	int err = guard_due(len) ? hmm_guard_look() : 0;

	if (err)
		return err;
	guard->start = (uintptr_t)ptr;
	guard->end = (uintptr_t)ptr + len;
	guard_push(guard);
	return 0;
}
