/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Which process has connected: what the kernel says of it, never what it says itself. */
#ifndef WATCHD_IDENTITY_H
#define WATCHD_IDENTITY_H

#include <stdbool.h>
#include <sys/types.h>

struct identity {
	pid_t pid;
	uid_t uid;
	int pidfd; /* readable when the process has ended */
};

/* Which process, and whose. 0; -EACCES: it is not in this PID namespace. */
int identity_of(int conn, struct identity *identity);
/*
 * Opens pidfd. 0; -ESRCH: the process has ended; -errno. Before Linux 6.5 the pidfd may be that of
 * a process which got the number later. It does not help that process: what is opened for it is
 * given to a process that has the number while `pidfd` lives and has answered.
 */
int identity_pin(int conn, struct identity *identity);
/* Has the process, as far as it is known, not ended? */
bool identity_lives(const struct identity *identity);

#endif
