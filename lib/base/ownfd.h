/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Descriptors of the library in the program's table. A program may close descriptors that it does
 * not know (closefrom(3), daemons) and open a file of its own under the same number. If we read
 * from that we would take the program's data, and if we closed it we would close the program's
 * file. So the library keeps a descriptor at a high number, which the kernel does not hand out
 * again soon, and compares device and inode before it uses it. A forked child closes the descriptor
 * (epoch.h). This works for files with an inode of their own: userfaultfds, pipes, sockets, /proc,
 * files.
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
 * Takes the descriptor over and moves it to a high number. 0; fd itself if it is negative; -errno,
 * and fd is closed.
 */
int ownfd_take(struct ownfd *own, int fd);
/* The same, but keeps the number. */
int ownfd_adopt(struct ownfd *own, int fd);
/*
 * Is the descriptor still the file that was taken? 1; 0; -errno: a seccomp filter of the calling
 * thread refuses the question. Makes one system call. Does not touch errno.
 */
int ownfd_look(const struct ownfd *own);
/* The same, where what cannot be told counts as no: nothing is read, written or closed then. */
bool ownfd_is_ours(const struct ownfd *own);
/*
 * Closes a descriptor that is on the list of child.h, if it is still the same file. Takes it off
 * the list before, as the number may become another file's once it is closed.
 */
void close_ours(int fd);
/* The same for a descriptor that was taken. */
void ownfd_close(struct ownfd *own);

#endif
