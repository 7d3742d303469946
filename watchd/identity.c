// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "watchd/identity.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

static int open_pidfd(int conn, pid_t pid)
{
	socklen_t size = sizeof(int);
	int fd;

	if (!getsockopt(conn, SOL_SOCKET, SO_PEERPIDFD, &fd, &size))
		return fd;
	if (errno != ENOPROTOOPT)
		return errno == EINVAL ? -ESRCH : -errno;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	return fd < 0 ? -errno : fd;
}

int identity_of(int conn, struct identity *identity)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);

	if (getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &cred, &size))
		return -errno;
	*identity = (struct identity){ cred.pid, cred.uid, -1 };
	return cred.pid > 0 ? 0 : -EACCES;
}

int identity_pin(int conn, struct identity *identity)
{
	const int fd = open_pidfd(conn, identity->pid);

	if (fd < 0)
		return fd;
	identity->pidfd = fd;
	return identity_lives(identity) ? 0 : -ESRCH;
}

bool identity_lives(const struct identity *identity)
{
	struct pollfd poll_fd = { identity->pidfd, POLLIN, 0 };

	return !poll(&poll_fd, 1, 0);
}
