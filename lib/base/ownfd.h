/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Descriptors of the library in a table that is the program's. A program may close what it does not
 * know (closefrom(3), daemons), and the number is then somebody else's: reading from it would take
 * the program's data, closing it would close the program's file. So a descriptor is kept at a high
 * number, which is not handed out again soon, and is recognised by device and inode before it is
 * used. A forked child closes it (epoch.h). For files whose inode is their own: userfaultfds,
 * pipes, sockets, /proc, files.
 */
#ifndef LIB_BASE_OWNFD_H
#define LIB_BASE_OWNFD_H

#include <stdbool.h>
#include <stdint.h>

struct ownfd {
	int fd; /* -1: none */
	uint64_t dev;
	uint64_t ino;
};

#define OWNFD_NONE ((struct ownfd){ .fd = -1 })

/*
 * Takes the descriptor over and moves it out of the way. 0; fd itself if it is negative; -errno,
 * and fd is closed.
 */
int ownfd_take(struct ownfd *own, int fd);
/* The same for one that stays where it is. */
int ownfd_adopt(struct ownfd *own, int fd);
/* Is it still what was taken? One system call. errno is left alone. */
bool ownfd_is_ours(const struct ownfd *own);
/*
 * Closes a descriptor of the list of child.h, if it still is what it was. It leaves the list first,
 * as its number may be somebody else's from then on.
 */
void close_ours(int fd);
/* The same for one that was taken. */
void ownfd_close(struct ownfd *own);

#endif
