/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Descriptors that forked children must not have. */
#ifndef LIB_BASE_CHILD_H
#define LIB_BASE_CHILD_H

#include <stdbool.h>

/*
 * Descriptors that a forked child closes; each call returns fd, and takes a negative one. Never
 * blocks.
 */
int child_closes(int fd);
/* It is not ours any more. */
void child_keeps(int fd);
/* Is it on the list, and still what it was? */
bool child_is_listed(int fd);

/* In a child: closes what is on the list. */
void child_close_all(void);

#endif
