/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* hmm-watchd's side of the messages (watchd/protocol.h). Nothing here waits. */
#ifndef WATCHD_TALK_H
#define WATCHD_TALK_H

#include "watchd/loader.h"
#include "watchd/protocol.h"

struct heard {
	size_t size; /* of the message; what is longer than the union was cut off */
	union {
		struct watchd_head head;
		struct watchd_hello hello;
		struct watchd_mine mine;
	} message;
	pid_t sender; /* whose message it is, says the kernel; 0: nobody here */
	bool had_fd;  /* a descriptor came with it; it is closed */
};

/* Accepted connections inherit what is set here. 0; -errno. */
int talk_prepare(int fd);

/* Reads a message. 0; -EAGAIN: there is none; -ECONNRESET: the connection has ended; -errno. */
int talk_hear(int conn, struct heard *heard);

/* The version to talk in; -EPROTONOSUPPORT: they know none in common; -EINVAL: it is no HELLO. */
int talk_version(const struct heard *heard);

/* 0; -errno: the peer is gone, or does not read what it is sent. */
int talk_challenge(int conn, unsigned int version, const uint8_t *nonce);
int talk_refuse(int conn, unsigned int version, int error);
int talk_give(int conn, unsigned int version, const struct watch_loader *loader,
	      const struct watch_fds *fds, uint64_t log_bytes);

#endif
