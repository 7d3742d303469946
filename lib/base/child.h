/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Descriptors that forked children must not have. */
#ifndef LIB_BASE_CHILD_H
#define LIB_BASE_CHILD_H

#include <stdbool.h>

/*
 * Puts a descriptor on the list of those that a forked child closes. Returns fd; a negative one is
 * returned as it is. Never blocks.
 */
int child_closes(int fd);
/* Takes the descriptor off the list. */
void child_keeps(int fd);
/* Is the descriptor on the list, and still the same file? */
bool child_is_listed(int fd);

/* In a child: closes all descriptors of the list that are still the same files. */
void child_close_all(void);

#endif
