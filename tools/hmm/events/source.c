// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Where logs come from: the program's processes hand them over (hello.h). */
#include "events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "../command.h"
#include "../host.h"

/* A process that connects and says nothing does not hold up the others for longer. */
#define PATIENCE ((struct timeval){ .tv_sec = 2 })

int listener_open(char *name, size_t size)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	uint64_t number = 0;
	int fd, n, err;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -EIO;
	n = snprintf(name, size, "hmm-events-%d-%016llx", (int)getpid(),
		     (unsigned long long)number);
	memcpy(at.sun_path + 1, name, (size_t)n);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!bind(fd, (struct sockaddr *)&at,
		  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) &&
	    !listen(fd, SOMAXCONN))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* How many bytes; -errno. Descriptors that are not taken are closed. */
static ssize_t receive(int fd, struct events_hello *hello, int *fds, size_t *n_fds)
{
	union {
		char room[CMSG_SPACE(EVENTS_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec part = { hello, sizeof(*hello) };
	struct msghdr m = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;

	*n_fds = 0;
	do
		n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		*n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), *n_fds * sizeof(int));
	}
	return n;
}

static bool makes_sense(const struct events_hello *hello, ssize_t n, size_t n_fds)
{
	const size_t head = offsetof(struct events_hello, sites);

	if (n < (ssize_t)head || hello->version != EVENTS_VERSION)
		return false;
	if (hello->error)
		return hello->error < 0 && !n_fds;
	return hello->n_sites <= EVENTS_SITES && n_fds >= EVENTS_FDS_LEAST &&
	       (size_t)n == head + hello->n_sites * sizeof(hello->sites[0]);
}

/* The same user's, or root's: a program may be one, the other, or become either. Or 0. */
static pid_t peer_of(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) ||
	    (peer.uid != getuid() && peer.uid != geteuid() && peer.uid))
		return 0;
	return peer.pid;
}

/* Another kernel's form of a function has a row of its own. */
static bool is_watched(const struct source *s, const char *name)
{
	for (uint32_t i = 0; i < s->n_sites; i++)
		if (s->sites[i].attached && !strcmp(s->sites[i].name, name))
			return true;
	return false;
}

/*
 * -ENOENT: there is no such function; -EALREADY: another one that is watched stands for it;
 * -ENODATA: it is not needed.
 */
static void count_unattached(struct totals *t, const struct source *s)
{
	unsigned int n = 0;

	for (uint32_t i = 0; i < s->n_sites; i++) {
		const struct events_site *site = &s->sites[i];

		if (site->attached || site->error == -ENOENT || site->error == -EALREADY ||
		    site->error == -ENODATA || is_watched(s, site->name))
			continue;
		if (!n)
			snprintf(t->unattached_first, sizeof(t->unattached_first), "%s",
				 site->name);
		n++;
	}
	/* The same in each space. */
	t->unattached = n > t->unattached ? n : t->unattached;
}

static int take(struct watch *w, const struct events_hello *hello, const int *fds, size_t n_fds)
{
	struct source *s = &w->sources[w->n_sources];
	int err;

	memset(s, 0, sizeof(*s));
	memset(s->fds, -1, sizeof(s->fds));
	s->sites = calloc(hello->n_sites + 1, sizeof(*s->sites));
	err = s->sites ? map_log(&s->log, fds, hello->log_bytes) : -ENOMEM;
	if (err) {
		free(s->sites);
		return err;
	}
	memcpy(s->fds, fds, n_fds * sizeof(int));
	s->pid = hello->pid;
	s->helper = hello->helper;
	s->n_sites = hello->n_sites;
	for (uint32_t i = 0; i < s->n_sites; i++) {
		s->sites[i] = hello->sites[i];
		s->sites[i].name[EVENTS_NAME - 1] = 0;
		s->n_attached += s->sites[i].attached != 0;
	}
	count_unattached(&w->totals, s);
	s->word = s->log.global->word & ~(uint64_t)WATCH_OUT;
	s->dropped = s->log.space->dropped;
	w->n_sources++;
	w->totals.spaces++;
	who_begin(s);
	follow_begin(s);
	print_source(&w->out, s, now() - w->began);
	return 0;
}

static int take_or_close(struct watch *w, const struct events_hello *hello, const int *fds,
			 size_t n_fds)
{
	int err = w->n_sources < MAX_SOURCES ? take(w, hello, fds, n_fds) : -EMFILE;

	for (size_t i = 0; err && i < n_fds; i++)
		close(fds[i]);
	return err;
}

int source_open(struct watch *w, pid_t pid)
{
	static struct events_hello hello;
	int fds[EVENTS_FDS];

	return load_open(pid, w->log_bytes, &hello, fds)
		       ?: take_or_close(w, &hello, fds, EVENTS_FDS_LEAST);
}

static int hear(struct watch *w, int fd)
{
	static struct events_hello hello;
	int fds[EVENTS_FDS] = { -1, -1, -1, -1, -1 };
	const struct timeval patience = PATIENCE;
	const pid_t peer = peer_of(fd);
	size_t n_fds = 0;
	ssize_t n;
	int asked;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	n = peer ? receive(fd, &hello, fds, &n_fds) : -EPERM;
	if (n <= 0)
		return n == -EAGAIN ? -ETIME : 0;
	if (!makes_sense(&hello, n, n_fds)) {
		for (size_t i = 0; i < n_fds; i++)
			close(fds[i]);
		return -EPROTO;
	}
	asked = hello.error;
	if (!asked)
		return take_or_close(w, &hello, fds, n_fds);
	/* What hmm-watchd does not do this process may be allowed to. If not the kernel says so. */
	return may_load_programs() ? source_open(w, peer) : asked;
}

void source_accept(struct watch *w, int listener)
{
	int err, fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	err = hear(w, fd);
	if (err)
		w->no_log = err;
	/* GO, unless the program ends here. */
	if (w->totals.spaces || !w->no_log)
		close(fd);
}

void source_close(struct source *s)
{
	log_unmap(&s->log);
	mappings_free(&s->mappings);
	free(s->pending);
	free(s->sites);
	s->pending = NULL;
	s->sites = NULL;
	for (int i = 0; i < EVENTS_FDS; i++)
		if (s->fds[i] >= 0)
			close(s->fds[i]);
	memset(s->fds, -1, sizeof(s->fds));
}
