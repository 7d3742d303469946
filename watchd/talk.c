// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "watchd/talk.h"
#include "kernel/abi/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FDS_MAX 3

int talk_prepare(int fd)
{
	const int on = 1;

	return setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) ? -errno : 0;
}

/* ---- hearing --------------------------------------------------------------------------------- */

static void hear_control(struct msghdr *msg, struct heard *heard)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		const size_t bytes = c->cmsg_len - CMSG_LEN(0);
		struct ucred cred;
		int fd;

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS && bytes == sizeof(cred)) {
			memcpy(&cred, CMSG_DATA(c), sizeof(cred));
			heard->sender = cred.pid;
		}
		for (size_t at = 0; c->cmsg_type == SCM_RIGHTS && at + sizeof(fd) <= bytes;
		     at += sizeof(fd)) {
			memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
			close(fd);
			heard->had_fd = true;
		}
	}
}

int talk_hear(int conn, struct heard *heard)
{
	/* what does not fit here the kernel closes by itself */
	char control[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(FDS_MAX * sizeof(int))];
	struct iovec iov = { &heard->message, sizeof(heard->message) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	ssize_t ret;

	memset(heard, 0, sizeof(*heard));
	ret = recvmsg(conn, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (ret < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	hear_control(&msg, heard);
	heard->size = (size_t)ret;
	return ret ? 0 : -ECONNRESET;
}

int talk_version(const struct heard *heard)
{
	const struct watchd_hello *hello = &heard->message.hello;
	const uint32_t min = hello->head.version, max = hello->version_max;

	if (heard->size < sizeof(*hello) || hello->head.magic != WATCHD_MAGIC ||
	    hello->head.type != WATCHD_HELLO || min > max)
		return -EINVAL;
	if (min > WATCHD_VERSION_MAX || max < WATCHD_VERSION_MIN)
		return -EPROTONOSUPPORT;
	return max < WATCHD_VERSION_MAX ? (int)max : WATCHD_VERSION_MAX;
}

/* ---- saying ---------------------------------------------------------------------------------- */

static int put(int conn, const void *message, size_t size, const int *fds, size_t n_fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)message, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n_fds) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		control.align.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&control.align), fds, n_fds * sizeof(int));
	}
	return sendmsg(conn, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static struct watchd_head head_of(unsigned int type, unsigned int version)
{
	return (struct watchd_head){ WATCHD_MAGIC, (uint16_t)type, (uint16_t)version };
}

int talk_challenge(int conn, unsigned int version, const uint8_t *nonce)
{
	struct watchd_challenge challenge = { .head = head_of(WATCHD_CHALLENGE, version) };

	memcpy(challenge.nonce, nonce, WATCHD_NONCE);
	return put(conn, &challenge, sizeof(challenge), NULL, 0);
}

int talk_refuse(int conn, unsigned int version, int error)
{
	const struct watchd_reply reply = { .head = head_of(WATCHD_REPLY, version),
					    .error = error,
					    .record_version = WATCH_VERSION,
					    .site_bytes = sizeof(struct watchd_site),
					    .table_at = sizeof(reply) };

	return put(conn, &reply, sizeof(reply), NULL, 0);
}

static struct watchd_site site_of(const struct watch_site *site)
{
	struct watchd_site sent = { .kind = site->kind,
				    .attached = site->attached,
				    .error = site->error };

	strncpy(sent.name, site->name, WATCHD_NAME - 1);
	return sent;
}

static int give_reply(int conn, unsigned int version, const struct watch_loader *loader,
		      const struct watch_fds *fds, uint64_t log_bytes)
{
	static struct {
		struct watchd_reply reply;
		struct watchd_site sites[WATCHD_SITES_MAX];
	} message;
	const int three[] = { fds->log, fds->space, fds->global };
	const struct watch_site *sites;
	size_t n = watch_sites(loader, &sites);

	if (n > WATCHD_SITES_MAX)
		n = WATCHD_SITES_MAX;
	message.reply = (struct watchd_reply){ .head = head_of(WATCHD_REPLY, version),
					       .record_version = WATCH_VERSION,
					       .log_bytes = log_bytes,
					       .n_sites = (uint32_t)n,
					       .site_bytes = sizeof(struct watchd_site),
					       .table_at = sizeof(struct watchd_reply) };
	for (size_t i = 0; i < n; i++)
		message.sites[i] = site_of(&sites[i]);
	return put(conn, &message, sizeof(message.reply) + n * sizeof(message.sites[0]), three, 3);
}

int talk_give(int conn, unsigned int version, const struct watch_loader *loader,
	      const struct watch_fds *fds, uint64_t log_bytes)
{
	const struct watchd_links links = { head_of(WATCHD_LINKS, version) };
	const int err = give_reply(conn, version, loader, fds, log_bytes);

	return err ? err : put(conn, &links, sizeof(links), &fds->links, 1);
}
