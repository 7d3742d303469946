/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What hmm-watchd and a process that wants to be watched say to each other, over a Unix socket of
 * type SOCK_SEQPACKET. Each message begins with struct watchd_head. Numbers are the host's.
 *
 *	process				hmm-watchd
 *	HELLO: versions, bytes of log	whose socket is it? may that user have one more?
 *					opens a log of the space that this process has
 *					CHALLENGE: a number that nobody can guess
 *	MINE: that number, a descriptor	has the process still the space that is watched?
 *					REPLY: log, space, global; the table of sites
 *					LINKS: a socket, see struct watch_fds
 *	holds the connection		ends the watch when the connection or the process ends
 *
 * Why it is asked twice: a process can send HELLO and then exec, say a program that is setuid. What
 * is opened would be that program's log, and a child that shares the socket would get it. The
 * kernel says which process sent a message (SCM_CREDENTIALS). The process that sends MINE has
 * CHALLENGE, so it sends after the log was opened, and has that space before and after it sends.
 * MINE carries a descriptor, an eventfd that is closed at once, as a program that only writes what
 * it was told to its standard output could send the number, but no descriptor.
 *
 * A refusal is a REPLY with an error and no descriptor, at any time before LINKS. After LINKS
 * nothing is sent, and the process sends nothing.
 */
#ifndef WATCHD_PROTOCOL_H
#define WATCHD_PROTOCOL_H

#include <stdint.h>

#define WATCHD_SOCKET "/run/hmm-watchd/socket"

/*
 * Versions of this protocol. A process says the oldest and the newest that it knows, and is
 * answered in the newest that both know. Messages of one version may grow at their ends: a reader
 * leaves alone what it does not know, and takes what a shorter one lacks for 0.
 */
#define WATCHD_VERSION_MIN 1
#define WATCHD_VERSION_MAX 1

#define WATCHD_MAGIC 0x77686d6dU

enum watchd_type {
	WATCHD_HELLO = 1,
	WATCHD_CHALLENGE,
	WATCHD_MINE,
	WATCHD_REPLY,
	WATCHD_LINKS,
};

struct watchd_head {
	uint32_t magic;
	uint16_t type;
	uint16_t version; /* of this message; HELLO: the oldest that the process knows */
};

/*
 * Tell by the functions that change page tables, although the kernel calls notifiers of the space.
 * Whether it does hmm-watchd's program sees: struct watch_space says in `anchored` what was chosen.
 */
#define WATCHD_FUNCTIONS (1U << 0)

struct watchd_hello {
	struct watchd_head head;
	uint32_t version_max;
	uint32_t flags; /* WATCHD_FUNCTIONS */
	/* that the log should have: a power of two; 0: as many as hmm-watchd likes */
	uint64_t log_bytes;
};

#define WATCHD_NONCE 16

struct watchd_challenge {
	struct watchd_head head;
	uint8_t nonce[WATCHD_NONCE];
};

/* MINE looks the same, with one descriptor. */
#define watchd_mine watchd_challenge

/* A site: struct watch_site. The name ends in a 0. */
#define WATCHD_NAME 48

struct watchd_site {
	char name[WATCHD_NAME];
	uint32_t kind;
	uint32_t attached;
	int32_t error;
	uint32_t reserved;
};

#define WATCHD_SITES_MAX 256

/* Descriptors: log, space, global. n_sites entries of site_bytes each begin at byte table_at. */
struct watchd_reply {
	struct watchd_head head;
	/*
	 * 0; -EPROTONOSUPPORT: head.version is the nearest that hmm-watchd knows; -EDQUOT: the user
	 * has as many spaces or bytes of logs as one may have; -ENOSPC: all users together have;
	 * -EINVAL: HELLO or MINE is wrong; -EACCES: the process that asks is not the one that the
	 * socket belongs to, or has another space by now; -ETIME: it took too long; errors of
	 * watch_open()
	 */
	int32_t error;
	uint32_t record_version; /* WATCH_VERSION of lib/kernel/abi/watch.h */
	uint64_t log_bytes;
	uint32_t n_sites;
	uint32_t site_bytes;
	uint32_t table_at;
	uint32_t reserved;
};

#define WATCHD_REPLY_MAX                                                                           \
	(sizeof(struct watchd_reply) + WATCHD_SITES_MAX * sizeof(struct watchd_site))

/* One descriptor: links. */
struct watchd_links {
	struct watchd_head head;
};

#endif
