/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Threads that have their signals blocked for good, so that nobody need do it for a while. */
#ifndef LIB_BASE_SIGNALS_H
#define LIB_BASE_SIGNALS_H

#include <stdbool.h>

extern _Thread_local bool signals_blocked
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* Blocks them; but for those that accesses of the thread's own raise. */
void signals_block(void);
/* Is it so still? */
bool signals_are_blocked(void);

#endif
