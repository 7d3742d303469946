/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A peer is a registration cache together with what tells it that memory changed (its monitor). The
 * scenes ask it for registrations, change the memory, and look whether an old registration comes
 * back.
 *
 * The device is a stub. The cache's callback that registers calls pin_make(), which looks at the
 * memory as a device would that pins it; the one that deregisters calls pin_end().
 */
#ifndef TOOLS_STALE_DEMO_PEER_H
#define TOOLS_STALE_DEMO_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A cache of the peer's; a process may have several. */
struct peer_cache;

/* A registration that is in use. */
struct peer_use {
	uint64_t id; /* of pin_make(); it tells a hit from a miss */
	void *entry; /* the peer's */
};

enum {
	/* get: every call that changed the memory has returned before */
	PEER_ORDERED = 1 << 0,
};

struct peer {
	const char *name; /* as in the table: "ofi-memhooks" */
	/*
	 * Called once in a process, before the others. 0, or -errno with the reason in @why: this
	 * monitor does not work here, for lack of privilege or of a library.
	 */
	int (*start)(char *why, size_t size);
	int (*open)(struct peer_cache **cache);
	int (*get)(struct peer_cache *cache, uint64_t addr, uint64_t length, unsigned int flags,
		   struct peer_use *use);
	void (*put)(struct peer_cache *cache, struct peer_use *use);
	void (*close)(struct peer_cache *cache);
	/*
	 * The lock that the peer holds in its lookups, or NULL: the peer holds none, or none that
	 * can be reached from outside.
	 */
	void (*lock)(void);
	void (*unlock)(void);
};

/* Each executable has one table of them, one for each monitor that it can run; NULL ends it. */
extern const struct peer *const peers[];

/*
 * A registration of what is mapped now. 0, or -errno: -EFAULT not mapped, -ENOBUFS no room. From
 * the callback of the thread that asked for the registration.
 */
int pin_make(uint64_t addr, uint64_t length, uint64_t *id);
void pin_end(uint64_t id);

#endif
