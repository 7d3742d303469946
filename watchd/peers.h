/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The processes that are connected. One thread serves all and never waits for one of them: nothing
 * is sent but what fits into an empty socket, and a peer that does not take it is dropped.
 */
#ifndef WATCHD_PEERS_H
#define WATCHD_PEERS_H

#include "watchd/identity.h"
#include "watchd/limits.h"
#include "watchd/loader.h"
#include "watchd/protocol.h"

enum peer_state {
	PEER_FREE,
	PEER_HELLO, /* connected; HELLO is to come */
	PEER_MINE,  /* watched; MINE is to come, and it has nothing yet */
	PEER_WATCHED,
};

struct peer {
	enum peer_state state;
	int conn;
	struct identity identity;
	uint64_t deadline_ns; /* HELLO, MINE: when it is dropped */
	unsigned int version;
	uint64_t log_bytes; /* that were counted */
	uint8_t nonce[WATCHD_NONCE];
	bool has_space;
	uint32_t space;
	struct watch_fds fds; /* MINE: to be given */
};

struct watch_global;

struct peers {
	struct watch_loader *loader; /* NULL: it could not load */
	int load_error;              /* what everybody is told then */
	int epoll;
	uint64_t patience_ns;
	struct accounts accounts;
	struct peer *peer;                 /* accounts.limits.spaces of them */
	const struct watch_global *global; /* mapped for reading */
	uint64_t on;                       /* the upper part of its word when it was looked at */
	uint64_t swept_ns;
	size_t n;         /* that are not free */
	bool wants_spare; /* peers_spare() has something to do */
	/* somebody has not got a log yet; peers_tick() finds out */
	bool talks;
};

/* 0; -ENOMEM; -errno of epoll_create1(). `loader` is the peers' then. */
int peers_init(struct peers *peers, const struct limits *limits, uint64_t patience_ns);
/*
 * Closes the connections. Spaces that are watched stay so, by the links that their processes hold:
 * for a process it is the same whether hmm-watchd is stopped, restarted or killed.
 */
void peers_fini(struct peers *peers);

/*
 * Watches this process for a moment: does it work at all, and can nobody write the page that all
 * watchers share? Keeps that page mapped. 0; -EPERM: somebody could; errors of watch_open().
 */
int peers_try(struct peers *peers);

/* Prepares the log of the next process that asks, which takes a while. For when there is time. */
void peers_spare(struct peers *peers);

/* A connection, which is the peers' from now on. */
void peers_accept(struct peers *peers, int conn);
/* Keys of events from here on, in epoll_event.data.u64, are the peers'. */
#define PEERS_KEY 16
void peers_event(struct peers *peers, uint64_t key);
/*
 * Drops those that were too slow, and those whose space has ended without a word. Returns how many
 * ms later it wants to be called again; -1: it need not be.
 */
int peers_tick(struct peers *peers);

#endif
