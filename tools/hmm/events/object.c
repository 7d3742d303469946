// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * libhmm-events.so: preloaded into the program that `hmm events` watches. A process may learn how
 * its own memory changes, and nobody else. So the process itself asks for the log, before main(),
 * and hands it to the tool that started it. After an exec that is done again: it is another space.
 *
 * What it opens it closes: the program finds its descriptors, its signals and errno as they were.
 */
#include "provider/watchd.h"
#include "watchd/protocol.h"
#include "hello.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TRIES 10 /* of WATCHD_WAIT_NS each */

struct asked {
	char name[96];
	int parent;
	unsigned long long log_bytes;
};

static bool understand(struct asked *a)
{
	const char *text = secure_getenv(EVENTS_VARIABLE);

	return text && sscanf(text, "%95s %d %llu", a->name, &a->parent, &a->log_bytes) == 3 &&
	       (!a->parent || a->parent == getppid());
}

static int reach(const char *name)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const size_t length = strlen(name);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(at.sun_path + 1, name, length);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&at,
			       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static void fill(struct events_hello *hello, const struct watch_site *sites, size_t n)
{
	hello->n_sites = n < EVENTS_SITES ? (uint32_t)n : EVENTS_SITES;
	for (uint32_t i = 0; i < hello->n_sites; i++) {
		struct events_site *to = &hello->sites[i];

		snprintf(to->name, sizeof(to->name), "%s", sites[i].name);
		to->attached = sites[i].attached;
		to->error = sites[i].error;
	}
}

/* Returns how many descriptors there are in fds. */
static size_t open_log(const struct asked *a, struct events_hello *hello, int *fds)
{
	struct watch_fds log = { -1, -1, -1, -1 };
	const struct watch_site *sites = NULL;
	size_t bytes = a->log_bytes, n = 0;
	int keep = -1;

	/* It may have been started a moment ago, by this: it loads its programs first. */
	for (int i = 0; i < TRIES; i++) {
		hello->error = watchd_connect(watchd_path(), WATCHD_FUNCTIONS, &bytes, &log, &keep,
					      &sites, &n);
		if (hello->error != -ETIME)
			break;
	}
	if (hello->error)
		return 0;
	hello->helper = 1;
	hello->log_bytes = bytes;
	fill(hello, sites, n);
	memcpy(fds, (const int[]){ log.log, log.space, log.global, log.links, keep },
	       EVENTS_FDS * sizeof(int));
	return EVENTS_FDS;
}

static void say(int fd, const struct events_hello *hello, const int *fds, size_t n)
{
	union {
		char room[CMSG_SPACE(EVENTS_FDS * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec part = { (void *)(uintptr_t)hello,
			      offsetof(struct events_hello, sites) +
				      hello->n_sites * sizeof(hello->sites[0]) };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (n) {
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	if (sendmsg(fd, &m, MSG_NOSIGNAL) < 0)
		return;
	/*
	 * GO: the tool closes its end, or has died. What changes from here on is read. Loading the
	 * programs itself may take it long.
	 */
	for (struct pollfd p = { .fd = fd, .events = POLLIN }; poll(&p, 1, -1) < 0;)
		if (errno != EINTR)
			break;
}

__attribute__((constructor)) static void begin(void)
{
	static struct events_hello hello;
	const int error = errno;
	struct asked asked;
	int fds[EVENTS_FDS], fd, state;
	size_t n;

	if (!understand(&asked))
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	hello.version = EVENTS_VERSION;
	hello.pid = getpid();
	/* That may take long. Then the tool is not kept waiting. */
	n = open_log(&asked, &hello, fds);
	fd = reach(asked.name);
	if (fd >= 0) {
		say(fd, &hello, fds, n);
		close(fd);
	}
	while (n)
		close(fds[--n]);
	pthread_setcancelstate(state, NULL);
	errno = error;
}
