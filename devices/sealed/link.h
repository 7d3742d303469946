/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* link: the program's side of a holder. */
#ifndef DEVICES_SEALED_LINK_H
#define DEVICES_SEALED_LINK_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>
#include "protocol.h"

/* The holder's program, which the build makes (embed.py). */
extern const unsigned char sealed_holder_image[];
extern const unsigned long sealed_holder_bytes;

struct link {
	int fd;
	dev_t dev; /* of fd: the program may close it, and another file have its number */
	ino_t ino;
	pid_t holder;
	bool secret;
	_Atomic bool dead;
	char *window;
	pthread_mutex_t lock; /* one message at a time, and what is decided before it */
	struct link *next;    /* of the process's: a child closes their sockets */
};

/* Starts a holder and has it open its memory. 0 or -errno. */
int link_open(struct link *l, uint64_t bytes, bool plain, bool never);
/* Ends it. In a forked child it only forgets it. */
void link_close(struct link *l);
/* l->lock is held. The holder's answer; -EPIPE: it has ended, or does not answer. */
int link_ask(struct link *l, struct sealed_message *m);
/* Pages to the holder and back, and what is no page any more. They take the lock. */
int link_in(struct link *l, uint64_t offset, const char *from, uint64_t bytes);
int link_out(struct link *l, uint64_t offset, char *to, uint64_t bytes);
int link_clear(struct link *l, uint64_t offset, uint64_t bytes);

#endif
