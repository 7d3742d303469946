/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Opening descriptors while another thread may fork. */
#ifndef LIB_BASE_OPENING_H
#define LIB_BASE_OPENING_H

#include "base/epoch.h"

#include <stdbool.h>

void opening_count(void);

/*
 * opening_begin() stands before a descriptor is opened, opening_end() behind the place where it is
 * on the list of child.h or closed again. Closing is enclosed by them, too. A fork waits a little
 * for threads between the two, and opening_begin() waits a little for a fork. They nest.
 */
static inline void opening_begin(void)
{
	epoch_look(); /* first: what a child counts before its epoch begins is forgotten */
	opening_count();
}

void opening_end(void);

/*
 * never: the calling thread does not wait for forks from now on, as it reads the events that forks
 * wait for. Otherwise it waits again.
 */
void opening_never_waits(bool never);
bool opening_waits(void);

/* For epoch.c. on: this thread is about to fork; off: it has. */
void opening_hold(bool on);
/* In a child: forgets the parent's forks and openings. */
void opening_forget(void);

#endif
