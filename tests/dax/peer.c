// SPDX-License-Identifier: GPL-2.0
/*
 * peer: a second process with the same file, started before the target is, so that it shares
 * nothing with the mirror.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suite.h"

struct request {
	act_fn fn;
	size_t size;
	char path[352], dir[320];
};

void actor_open(struct actor *a, const char *path, const char *dir, size_t size)
{
	a->path = path;
	a->dir = dir;
	a->size = size;
	a->fd = open(path, O_RDWR | O_CLOEXEC);
	a->map = MAP_FAILED;
	if (a->fd >= 0)
		a->map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
}

static int peer_do(const struct request *q)
{
	struct actor a;
	int ret;

	actor_open(&a, q->path, q->dir, q->size);
	if (a.fd < 0 || a.map == MAP_FAILED)
		return -errno;
	ret = q->fn(&a);
	munmap(a.map, a.size);
	close(a.fd);
	return ret;
}

void peer_start(struct run *r)
{
	struct request q;
	int sockets[2], ret;

	CHECK(r, !socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), "socketpair: %s",
	      strerror(errno));
	r->peer = fork();
	CHECK(r, r->peer >= 0, "fork: %s", strerror(errno));
	if (r->peer) {
		close(sockets[1]);
		r->peer_fd = sockets[0];
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(sockets[0]);
	while (read(sockets[1], &q, sizeof(q)) == sizeof(q)) {
		ret = peer_do(&q);
		if (write(sockets[1], &ret, sizeof(ret)) != sizeof(ret))
			break;
	}
	_exit(0);
}

int peer_act(struct run *r, act_fn fn)
{
	struct request q = { .fn = fn, .size = r->size };
	int ret = 0;

	memcpy(q.path, r->path, sizeof(q.path));
	memcpy(q.dir, r->dir, sizeof(q.dir));
	CHECK(r, write(r->peer_fd, &q, sizeof(q)) == sizeof(q), "the other process is gone");
	CHECK(r, read(r->peer_fd, &ret, sizeof(ret)) == sizeof(ret), "the other process died");
	return ret;
}
