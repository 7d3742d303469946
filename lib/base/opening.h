/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Opening descriptors beside a fork. */
#ifndef LIB_BASE_OPENING_H
#define LIB_BASE_OPENING_H

#include "base/epoch.h"

#include <stdbool.h>

void opening_count(void);

/*
 * Around the opening of a descriptor until it is on the list of child.h, or closed again, and
 * around closing: a fork waits a little for that, and this waits a little for a fork. Nests.
 */
static inline void opening_begin(void)
{
	epoch_look(); /* or it would be counted in what a child forgets */
	opening_count();
}

void opening_end(void);

/*
 * The calling thread reads events, which forks wait for: it does not wait for them; or it does no
 * longer.
 */
void opening_never_waits(bool never);
bool opening_waits(void);

/* For epoch.c. This thread forks, or is done. */
void opening_hold(bool on);
/* In a child: there are none of the parent's forks and openings. */
void opening_forget(void);

#endif
