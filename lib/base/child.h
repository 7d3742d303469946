/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Descriptors that forked children must not have. */
#ifndef LIB_BASE_CHILD_H
#define LIB_BASE_CHILD_H

#include <stdbool.h>

/*
 * Around the opening of a descriptor until it is on the list below, or closed again, and around closing: a fork waits a little for that, and
 * this waits a little for a fork. Nests.
 */
void opening_begin(void);
void opening_end(void);
/* The calling thread reads events, which forks wait for: it does not wait for them; or it does no longer. */
void opening_never_waits(bool never);

/* Descriptors that a forked child closes; each call returns fd, and takes a negative one. Never blocks. */
int child_closes(int fd);
/* It is not ours any more. */
void child_keeps(int fd);
/*
 * Closes one of them, if it still is what it was. First it is off the list, as its number may be somebody else's from
 * then on.
 */
void close_ours(int fd);

/* For epoch.c. This thread forks, or is done; in a child: of the parent's forks and openings there are none. */
void opening_hold(bool on);
void opening_forget(void);
/* In a child: closes what is on the list. */
void child_close_all(void);

#endif
