/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * window: hold the protocol open at one point until the users have tried their translations there.
 *
 * A hostile thread arms a window for its next operation; users take hold of the page and say so;
 * the operation runs; when the pump comes to the point it waits until the change is known to have
 * taken effect and a few uses have begun after that, or LIMIT_NS passed. `changed` is held open
 * otherwise: the operation also unmaps a lot of other memory, which the kernel does after the
 * mapping is gone and before the event is queued.
 */
#ifndef TOOLS_HMM_TORTURE_WINDOW_H
#define TOOLS_HMM_TORTURE_WINDOW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum window {
	WINDOW_CHANGED,  /* the change took effect, its event is not queued */
	WINDOW_POLLED,   /* queued; the pump does not show yet that it is busy */
	WINDOW_QUIESCED, /* queued; the gate is closed */
	WINDOW_READ,     /* read: the caller runs on; nothing is invalidated */
	WINDOW_INVALIDATED,
	WINDOW_RESUMED,
	WINDOW_NR,
};

/* hostile operations, see ops.h */
#define OPS_MAX 32

enum window_phase {
	PHASE_IDLE,
	PHASE_PREPARE, /* users: take hold of the page */
	PHASE_RUN,     /* users: use what you hold, do not fault */
	PHASE_FAULT,   /* users: fault the slot in, again and again */
};

struct windows {
	_Atomic int phase;
	_Atomic int armed; /* enum window */
	_Atomic int open;  /* the window that is held open now, or -1 */
	_Atomic bool fired;
	_Atomic bool effect; /* the change is known to have taken effect */
	_Atomic bool needs_effect;
	_Atomic bool returned;      /* the operation's caller runs again */
	_Atomic unsigned int ready; /* a bit a user */
	_Atomic unsigned int slot;
	_Atomic unsigned int page;
	_Atomic unsigned int op;
	_Atomic unsigned int uses; /* begun after the effect */
	int uffd;                  /* to ask whether an event is queued; -1 unknown */
	_Atomic uint64_t forced[OPS_MAX][WINDOW_NR];    /* windows held open with a use in them */
	_Atomic uint64_t in_window[OPS_MAX][WINDOW_NR]; /* uses in them */
};

struct torture;

const char *window_name(enum window w);
/* Can this build hold it open? */
bool window_available(enum window w);

int windows_init(struct torture *t);
void windows_exit(struct torture *t);

/*
 * Hostile side. try: false when another thread has one. wait_ready: false when no user could take
 * hold of the page, nothing is armed then. finish: waits until it is over.
 */
bool window_try_arm(struct torture *t, enum window w, unsigned int slot, unsigned int page,
		    unsigned int op, bool needs_effect);
bool window_wait_ready(struct torture *t);
void window_returned(struct torture *t);
void window_finish(struct torture *t);

/* The change of the armed operation was seen (peer) or done (its caller). */
void window_effect(struct torture *t);
/* Peer: hold `changed` open as long as it lasts. */
void window_hold_changed(struct torture *t);

/* No window, but users fault a slot in while its operation runs. False: a window is armed. */
bool window_faults_begin(struct torture *t, unsigned int slot);
void window_faults_end(struct torture *t);

/* User side: around a use. */
int window_use_begin(struct torture *t);
void window_use_end(struct torture *t, int begun);

/* Threads of the torture itself are not the pump; name: what the system shall call this one. */
void window_not_pump(const char *name);

#endif
