/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Between the files of the guard. */
#ifndef LIB_GUARD_GUARD_H
#define LIB_GUARD_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hmm/guard.h>
#include "base/epoch.h"

#define INITIAL_EXEC __attribute__((tls_model("initial-exec")))

/* Accesses, or KiB, between two looks at the handlers: two system calls in 100 us at least. */
#define GUARD_PATIENCE 4096

extern _Thread_local int guard_patience INITIAL_EXEC;
/* The epoch in which this thread looked last: a forked child looks before its first access. */
extern _Thread_local uint64_t guard_epoch INITIAL_EXEC;

/* Is the look due, before an access of that many bytes? */
static inline bool guard_due(size_t len)
{
	if (len >= (size_t)GUARD_PATIENCE << 10)
		return true;
	guard_patience -= 1 + (int)(len >> 10);
	return __builtin_expect(guard_patience < 0 || !epoch_is(guard_epoch), 0);
}

/* fixup.c: was it a load or store of ours? Then the context goes on behind it, and knows. */
bool guard_fix(void *context);

/* landing.c: is it an address that this thread guards? Then the context goes on at the landing. */
bool guard_land(uintptr_t addr, void *context);
void guard_push(struct hmm_guard *guard);

#endif
