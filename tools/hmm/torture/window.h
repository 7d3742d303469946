/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * window: hold the protocol open at one point until the users have tried what they hold there.
 *
 * Whoever comes to the point (the pump, the peer, the hostile thread itself) opens the window and stays
 * in it until the change is known to have taken effect and every user who has hold of the page has
 * used it after that. Users are waited for, time is not: limits are in ticks of the main thread, which
 * come late on a busy machine as everything else does.
 */
#ifndef TOOLS_HMM_TORTURE_WINDOW_H
#define TOOLS_HMM_TORTURE_WINDOW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum window {
	WINDOW_CHANGED,  /* the change took effect, its event is not queued: by the latch */
	WINDOW_POLLED,   /* queued; the pump does not show yet that it is busy */
	WINDOW_QUIESCED, /* queued; the gate is closed */
	WINDOW_READ,     /* read: the caller runs on; nothing is invalidated */
	WINDOW_INVALIDATED,
	WINDOW_RESUMED,
	WINDOW_ANNOUNCED, /* a discard whose event is long handled, and which has not happened yet: by the brake */
	WINDOW_NR,
};

/* hostile operations, see ops.h */
#define OPS_MAX 32

enum window_visit {
	VISIT_NOT_YET,
	VISIT_NOW,
	VISIT_OVER,
};

struct windows {
	_Atomic int armed;   /* enum window, or -1 */
	_Atomic int open;    /* the window that is held open now, or -1 */
	_Atomic int visit;   /* enum window_visit */
	_Atomic bool effect; /* the change is known to have taken effect */
	_Atomic bool needs_effect;
	_Atomic bool returned; /* the operation's caller runs again */
	_Atomic bool told;     /* users' translations were taken */
	_Atomic unsigned int op;
	_Atomic unsigned int wanted; /* a bit a user: has hold of the page */
	_Atomic unsigned int used;   /* ... and has used it in here, after the effect */
	_Atomic uint64_t forced[OPS_MAX][WINDOW_NR];    /* windows held open with a use in them */
	_Atomic uint64_t in_window[OPS_MAX][WINDOW_NR]; /* uses in them */
};

struct torture;

const char *window_name(enum window w);
/* Can this build come to the point? */
bool window_available(enum window w);

int windows_init(struct torture *t);
void windows_exit(struct torture *t);

/* Before the operation; @effect: uses count only once it is there. */
void window_arm(struct torture *t, enum window w, unsigned int op, bool effect,
		unsigned int wanted);
bool window_armed(const struct torture *t, enum window w);
void window_disarm(struct torture *t);

/* At the point: open the window if it is the armed one, once, and stay until all have used. */
void window_hold(struct torture *t, enum window w);
/* The same in parts, for who must not sleep. */
bool window_open(struct torture *t, enum window w);
bool window_all_used(const struct torture *t);
void window_close(struct torture *t);
/* The change of the armed operation was seen (peer); its caller runs again. */
void window_effect(struct torture *t);
void window_returned(struct torture *t);
/* After the operation: the pump may have yet to come to the point. */
void window_finish(struct torture *t);

/* User side: around a use. */
int window_use_begin(struct torture *t);
void window_use_end(struct torture *t, int begun, unsigned int user);

/* Threads of the torture itself are not the pump; name: what the system shall call this one. */
void window_not_pump(const char *name);

#endif
