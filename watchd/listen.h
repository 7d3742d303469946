/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The socket that processes connect to, and what systemd expects of a service. */
#ifndef WATCHD_LISTEN_H
#define WATCHD_LISTEN_H

#include <stdbool.h>

/* Has systemd started this process, with a socket? */
bool listen_activated(void);
/* Takes that socket. A descriptor; -EINVAL: it is another kind of socket, or several. */
int listen_take(void);
/*
 * Makes one at that path, for all users. A socket that nobody listens at any more is removed. A
 * descriptor; -EADDRINUSE: somebody listens there; -ENAMETOOLONG; -errno.
 */
int listen_at(const char *path);
/* Tells systemd that the service is ready, if it waits for that. */
void listen_ready(void);

#endif
