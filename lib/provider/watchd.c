// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "provider/watchd.h"
#include "provider/watch_fds.h"
#include "provider/watch_sites.h"
#include "watchd/protocol.h"
#include "kernel/abi/watch.h"
#include "base/deadline.h"
#include "base/pool.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* One more than any message has. */
#define FDS_MAX 4

struct talk {
	int fd;
	uint64_t deadline;
	size_t size; /* of the message that is in `message` */
	int fds[FDS_MAX];
	int n_fds;
	union {
		struct watchd_head head;
		struct watchd_challenge challenge;
		struct watchd_reply reply;
		char bytes[WATCHD_REPLY_MAX + 4096];
	} message;
};

const char *watchd_path(void)
{
	const char *path = secure_getenv("HMM_WATCHD");

	return path && *path ? path : WATCHD_SOCKET;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* ---- messages -------------------------------------------------------------------------------- */

static void drop_fds(struct talk *t)
{
	while (t->n_fds)
		close_fd(&t->fds[--t->n_fds]);
}

/* 0: there may be something to read; -ETIME. */
static int wait_readable(const struct talk *t)
{
	struct pollfd poll_fd = { t->fd, POLLIN, 0 };
	int ret;

	do {
		const uint64_t left = deadline_left_ns(t->deadline);

		ret = left ? poll(&poll_fd, 1, (int)(left / 1000000) + 1) : 0;
	} while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return -errno;
	return ret ? 0 : -ETIME;
}

static int send_message(const struct talk *t, const void *message, size_t size, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { (void *)message, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *cmsg = (struct cmsghdr *)control;

		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		*cmsg = (struct cmsghdr){ CMSG_LEN(sizeof(fd)), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	return sendmsg(t->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static void take_fds(struct talk *t, struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		const size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n && t->n_fds < FDS_MAX; i++)
			memcpy(&t->fds[t->n_fds++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
}

static int receive_once(struct talk *t, int n_fds)
{
	char control[CMSG_SPACE(FDS_MAX * sizeof(int))];
	struct iovec iov = { t->message.bytes, sizeof(t->message.bytes) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	const ssize_t ret = recvmsg(t->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (ret < 0)
		return -errno;
	take_fds(t, &msg);
	if (!ret)
		return -ECONNRESET;
	t->size = (size_t)ret;
	/* no room in the process's table: the kernel has left some out */
	if ((msg.msg_flags & MSG_CTRUNC) && t->n_fds < n_fds)
		return -EMFILE;
	return msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC) ? -EPROTO : 0;
}

/*
 * Is it a message of that type and size, or a refusal? n_fds descriptors come with it, or none with
 * a refusal.
 */
static int judge(const struct talk *t, uint16_t type, size_t size, int n_fds)
{
	const struct watchd_head *head = &t->message.head;

	if (t->size < sizeof(*head) || head->magic != WATCHD_MAGIC)
		return -EPROTO;
	if (head->type == WATCHD_REPLY && t->size >= sizeof(t->message.reply) &&
	    t->message.reply.error)
		return t->message.reply.error < 0 && t->message.reply.error >= -4095
			       ? t->message.reply.error
			       : -EPROTO;
	if (head->type != type || t->size < size || t->n_fds != n_fds)
		return -EPROTO;
	return head->version >= WATCHD_VERSION_MIN && head->version <= WATCHD_VERSION_MAX
		       ? 0
		       : -EPROTONOSUPPORT;
}

/* On success t->fds are the caller's. */
static int receive(struct talk *t, uint16_t type, size_t size, int n_fds)
{
	bool reset = false;
	int err;

	for (;;) {
		err = receive_once(t, n_fds);
		/* The end of a connection comes before what was sent last. */
		if (err == -ECONNRESET && !reset) {
			reset = true;
			continue;
		}
		if (err != -EAGAIN && err != -EINTR)
			break;
		err = wait_readable(t);
		if (err)
			break;
	}
	if (!err)
		err = judge(t, type, size, n_fds);
	if (err)
		drop_fds(t);
	return err;
}

/* ---- the conversation ------------------------------------------------------------------------ */

static int connect_to(struct talk *t, const char *path)
{
	static const struct timespec pause = { 0, 2000000 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	t->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (t->fd < 0)
		return -errno;
	/* -EAGAIN: many are waiting to be let in */
	while (connect(t->fd, (struct sockaddr *)&address, sizeof(address))) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (deadline_passed(t->deadline))
			return -ETIME;
		nanosleep(&pause, NULL);
	}
	return 0;
}

/*
 * What was sent to a connection that has ended is lost; the reason may be there to be read. Returns
 * the error to go on with.
 */
static int sent(int err)
{
	return err == -EPIPE || err == -ECONNRESET ? 0 : err;
}

static int say_hello(struct talk *t, uint32_t flags, size_t log_bytes)
{
	const struct watchd_hello hello = {
		.head = { WATCHD_MAGIC, WATCHD_HELLO, WATCHD_VERSION_MIN },
		.version_max = WATCHD_VERSION_MAX,
		.flags = flags,
		.log_bytes = log_bytes,
	};

	return sent(send_message(t, &hello, sizeof(hello), -1));
}

static int answer_challenge(struct talk *t)
{
	struct watchd_mine mine;
	int proof, err;

	err = receive(t, WATCHD_CHALLENGE, sizeof(t->message.challenge), 0);
	if (err)
		return err;
	proof = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (proof < 0)
		return -errno;
	mine = t->message.challenge;
	mine.head.type = WATCHD_MINE;
	err = sent(send_message(t, &mine, sizeof(mine), proof));
	close(proof);
	return err;
}

static int check_reply(const struct watchd_reply *reply)
{
	if (reply->record_version != WATCH_VERSION)
		return -EPROTONOSUPPORT;
	if (reply->log_bytes < (uint64_t)getpagesize() || reply->log_bytes > 1U << 30 ||
	    (reply->log_bytes & (reply->log_bytes - 1)))
		return -EPROTO;
	return 0;
}

static int take_reply(struct talk *t, struct watch_fds *fds, size_t *log_bytes,
		      const struct watch_site **sites, size_t *n)
{
	const struct watchd_reply *reply = &t->message.reply;
	int err = receive(t, WATCHD_REPLY, sizeof(*reply), 3);

	if (err)
		return err;
	*fds = (struct watch_fds){ t->fds[0], t->fds[1], t->fds[2], -1 };
	t->n_fds = 0;
	err = check_reply(reply);
	if (err)
		return err;
	*log_bytes = reply->log_bytes;
	return watch_sites_read(reply, t->size, sites, n);
}

static int take_links(struct talk *t, struct watch_fds *fds)
{
	const int err = receive(t, WATCHD_LINKS, sizeof(struct watchd_links), 1);

	if (err)
		return err;
	fds->links = t->fds[0];
	t->n_fds = 0;
	return 0;
}

static int converse(struct talk *t, const char *path, uint32_t flags, size_t *log_bytes,
		    struct watch_fds *fds, const struct watch_site **sites, size_t *n)
{
	int err = connect_to(t, path);

	if (!err)
		err = say_hello(t, flags, *log_bytes);
	if (!err)
		err = answer_challenge(t);
	if (!err)
		err = take_reply(t, fds, log_bytes, sites, n);
	if (!err)
		err = take_links(t, fds);
	return err ? err : watch_fds_check(fds, *log_bytes);
}

bool watchd_listens(const char *path)
{
	const int saved = errno;
	const bool listens = !access(path, W_OK);

	errno = saved;
	return listens;
}

int watchd_connect(const char *path, uint32_t flags, size_t *log_bytes, struct watch_fds *fds,
		   int *conn, const struct watch_site **sites, size_t *n)
{
	const int saved = errno;
	struct watch_fds got = WATCH_FDS_NONE;
	struct talk *t = pool_map(sizeof(*t));
	size_t bytes = *log_bytes;
	int err;

	if (!t)
		return -ENOMEM;
	t->fd = -1;
	t->deadline = deadline_after(WATCHD_WAIT_NS);
	err = converse(t, path, flags, &bytes, &got, sites, n);
	if (err) {
		close_fd(&got.log);
		close_fd(&got.space);
		close_fd(&got.global);
		close_fd(&got.links);
		close_fd(&t->fd);
	} else {
		*fds = got;
		*conn = t->fd;
		*log_bytes = bytes;
	}
	pool_unmap(t, sizeof(*t));
	errno = saved;
	return err;
}

bool watchd_gone(int conn)
{
	const int saved = errno;
	struct pollfd poll_fd = { conn, POLLIN, 0 };
	const int ret = poll(&poll_fd, 1, 0);

	errno = saved;
	/* Nothing is sent after the conversation, so what can be read is the end of it. */
	return ret > 0;
}
