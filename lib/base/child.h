/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Descriptors that forked children must not have. */
#ifndef LIB_BASE_CHILD_H
#define LIB_BASE_CHILD_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Puts a descriptor on the list of those that a forked child closes. Returns fd; a negative one is
 * returned as it is. Never blocks.
 */
int child_closes(int fd);
/* Takes the descriptor off the list. */
void child_keeps(int fd);
/* Is the descriptor on the list, and still the same file? */
bool child_is_listed(int fd);

/*
 * Which file is the descriptor? 1: the one with these numbers; 0: another one, or none; -errno:
 * that cannot be told, as a seccomp filter refuses the question. Does not touch errno.
 */
int fd_look(int fd, uint64_t dev, uint64_t ino);

/* In a child: closes all descriptors of the list that are still the same files. */
void child_close_all(void);

#endif
