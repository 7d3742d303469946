/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * window: holds the protocol open at one point until the users have tried their translations there.
 *
 * The thread that comes to the point (the pump, the peer or the hostile thread) opens the window.
 * It stays in the window until the change is known to have taken effect and every user that has a
 * translation of the page has used it after that. It waits for users, not for a time: the limits
 * are in ticks of the main thread, which come late on a busy machine, as everything else does.
 */
#ifndef TOOLS_HMM_TORTURE_WINDOW_H
#define TOOLS_HMM_TORTURE_WINDOW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum window {
	/* the change has taken effect, its event is not queued: the latch holds it open */
	WINDOW_CHANGED,
	WINDOW_POLLED,   /* the event is queued; pump_seq is still even */
	WINDOW_QUIESCED, /* the event is queued; the gate is closed */
	WINDOW_READ,     /* the event is read, so the caller goes on; nothing is invalidated yet */
	WINDOW_INVALIDATED,
	WINDOW_RESUMED,
	/* a discard's event is handled, and its pages are still there: the brake holds it open */
	WINDOW_ANNOUNCED,
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
	_Atomic int open;    /* enum window: the one that is held open now, or -1 */
	_Atomic int visit;   /* enum window_visit */
	_Atomic bool effect; /* the change is known to have taken effect */
	_Atomic bool needs_effect;
	_Atomic bool returned; /* the operation's call has returned */
	_Atomic bool told;     /* users' translations were invalidated */
	_Atomic unsigned int op;
	_Atomic unsigned int wanted; /* a bit for each user that has a translation of the page */
	/* ... and for each that has used it in the window, after the effect */
	_Atomic unsigned int used;
	/* how often a window was held open and a translation was used in it */
	_Atomic uint64_t forced[OPS_MAX][WINDOW_NR];
	_Atomic uint64_t in_window[OPS_MAX][WINDOW_NR]; /* how many uses there were */
};

struct torture;

const char *window_name(enum window w);
/* Can this build hold that window open? */
bool window_available(enum window w);

int windows_init(struct torture *t);
void windows_exit(struct torture *t);

/* Called before the operation. @effect: uses count only once the change has taken effect. */
void window_arm(struct torture *t, enum window w, unsigned int op, bool effect,
		unsigned int wanted);
bool window_armed(const struct torture *t, enum window w);
void window_disarm(struct torture *t);

/*
 * Called at the point: opens the window if it is the armed one, once, and waits until all users
 * have used their translations.
 */
void window_hold(struct torture *t, enum window w);
/* The same in parts, for a thread that must not sleep. */
bool window_open(struct torture *t, enum window w);
bool window_all_used(const struct torture *t);
void window_close(struct torture *t);
/* The peer has seen the change of the armed operation; the operation's call has returned. */
void window_effect(struct torture *t);
void window_returned(struct torture *t);
/* Called after the operation: waits for the pump, which may not have come to the point yet. */
void window_finish(struct torture *t);

/* Users enclose a use in these. */
int window_use_begin(struct torture *t);
void window_use_end(struct torture *t, int begun, unsigned int user);

/* Says that this thread is one of the torture's own and not the pump, and gives it a name. */
void window_not_pump(const char *name);

#endif
