/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What libhmm-events.so, preloaded into the program, and `hmm events` say to each other.
 *
 *	program, before main()			hmm events
 *	opens the log of its own space,
 *	as any process may
 *	HELLO: how that went, descriptors
 *						maps the log
 *						GO: closes the connection
 *	closes all of it, goes on		reads the log until the space ends
 *
 * Nothing of ours stays in the program: the tool holds the descriptors. Each space has a connection
 * of its own, as exec makes a new one.
 */
#ifndef TOOLS_HMM_EVENTS_HELLO_H
#define TOOLS_HMM_EVENTS_HELLO_H

#include <stdint.h>

/*
 * "NAME PARENT BYTES": the abstract Unix socket (SOCK_SEQPACKET) on which the tool listens; whose
 * child says HELLO, 0: every process does; how large its log should be, 0 for the usual size.
 */
#define EVENTS_VARIABLE "LIBHMM_EVENTS"

#define EVENTS_VERSION 1
#define EVENTS_SITES 256
#define EVENTS_NAME 48

struct events_site {
	char name[EVENTS_NAME];
	uint32_t attached;
	int32_t error;
};

/* Descriptors: log, space, global, links; and what keeps the watch alive, if that is needed. */
#define EVENTS_FDS 5
#define EVENTS_FDS_LEAST 4

struct events_hello {
	uint32_t version;
	int32_t error; /* 0; or -errno: there is no log, and no descriptor */
	int32_t pid;
	uint32_t helper; /* 1: the log is hmm-watchd's; 0: hmm events loaded the programs */
	uint64_t log_bytes;
	uint32_t n_sites;
	uint32_t reserved;
	struct events_site sites[EVENTS_SITES]; /* n_sites of them are sent */
};

#endif
