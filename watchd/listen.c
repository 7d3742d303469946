// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "watchd/listen.h"
#include "watchd/talk.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* The first descriptor that systemd passes. */
#define FIRST 3

bool listen_activated(void)
{
	const char *pid = getenv("LISTEN_PID");

	return pid && strtol(pid, NULL, 10) == getpid();
}

static int option_of(int fd, int option)
{
	socklen_t size = sizeof(int);
	int value;

	return getsockopt(fd, SOL_SOCKET, option, &value, &size) ? -1 : value;
}

int listen_take(void)
{
	const char *n = getenv("LISTEN_FDS");
	int err;

	if (!n || strcmp(n, "1") || option_of(FIRST, SO_DOMAIN) != AF_UNIX ||
	    option_of(FIRST, SO_TYPE) != SOCK_SEQPACKET || option_of(FIRST, SO_ACCEPTCONN) != 1)
		return -EINVAL;
	if (fcntl(FIRST, F_SETFD, FD_CLOEXEC) || fcntl(FIRST, F_SETFL, O_NONBLOCK))
		return -errno;
	err = talk_prepare(FIRST);
	return err ? err : FIRST;
}

static int fill_address(struct sockaddr_un *address, const char *path)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	strcpy(address->sun_path, path);
	return 0;
}

/* Is there a socket that nobody listens at? What is no socket refuses to be connected to, too. */
static bool is_left_over(const struct sockaddr_un *address)
{
	struct stat st;
	bool refused;
	int fd;

	if (lstat(address->sun_path, &st) || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	refused = connect(fd, (const struct sockaddr *)address, sizeof(*address)) &&
		  errno == ECONNREFUSED;
	close(fd);
	return refused;
}

static int bind_for_all(int fd, const struct sockaddr_un *address)
{
	const mode_t old = umask(0111);
	const int ret = bind(fd, (const struct sockaddr *)address, sizeof(*address));
	const int err = ret ? -errno : 0;

	umask(old);
	return err;
}

static int prepare(int fd, const char *path)
{
	struct sockaddr_un address;
	int err = fill_address(&address, path);

	if (!err)
		err = bind_for_all(fd, &address);
	if (err == -EADDRINUSE && is_left_over(&address))
		err = unlink(path) ? -errno : bind_for_all(fd, &address);
	if (!err)
		err = talk_prepare(fd);
	if (!err && listen(fd, SOMAXCONN))
		err = -errno;
	return err;
}

int listen_at(const char *path)
{
	int fd, err;

	if (!strcmp(path, WATCHD_SOCKET))
		mkdir("/run/hmm-watchd", 0755);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	err = prepare(fd, path);
	if (err)
		close(fd);
	return err ? err : fd;
}

void listen_ready(void)
{
	static const char message[] = "READY=1";
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	socklen_t size;
	int fd;

	if (!path || fill_address(&address, path))
		return;
	size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	/* a name that is no path begins with a 0 in the address */
	if (*path == '@')
		address.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	sendto(fd, message, sizeof(message) - 1, MSG_NOSIGNAL, (struct sockaddr *)&address, size);
	close(fd);
}
