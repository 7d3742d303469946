/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * scene: one operation forced into one window, step by step. While it plays nothing else goes on: the
 * users do each step together, and say when they have done it.
 */
#ifndef TOOLS_HMM_TORTURE_SCENE_H
#define TOOLS_HMM_TORTURE_SCENE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum step {
	STEP_FREE,    /* no scene: every user for itself */
	STEP_REST,    /* do nothing */
	STEP_HOLD,    /* take hold of the page */
	STEP_RUN,     /* use what you hold, do not fault; done as soon as you are at it */
	STEP_FAULT,   /* it was taken from you: fault it in again */
	STEP_AFTER,   /* the window is over: try what you hold */
	STEP_REFAULT, /* one of you: fault another page of the same memory */
	STEP_LAST,    /* try what you hold once more */
};

struct scene {
	pthread_rwlock_t turn; /* operations share it, a scene has it alone */
	_Atomic uint32_t step; /* number << 8 | enum step */
	_Atomic uint32_t acks; /* number << 8 | a bit a user that has done it */
	_Atomic uint32_t held; /* a bit a user that has hold of the page */
	_Atomic bool patient;  /* sections stay until the program has got to run, for some ticks */
	_Atomic bool unpinned; /* a fork copies pinned pages early: nobody may hold it so */
	_Atomic unsigned int slot;
	_Atomic unsigned int page;
};

struct torture;

void scene_init(struct torture *t);
void scene_exit(struct torture *t);

/* Around any other operation. */
void scene_wait_turn(struct torture *t);
void scene_end_turn(struct torture *t);

/* The conductor's: begin waits until no operation is under way. */
void scene_begin(struct torture *t, unsigned int slot, unsigned int page);
/* Users may start with a step; true: all have done it. */
void scene_start(struct torture *t, enum step step);
bool scene_done(const struct torture *t);
/* Both; false: not all came. */
bool scene_step(struct torture *t, enum step step);
void scene_end(struct torture *t);

/* The users': what is to be done, as a token for the others. */
uint32_t scene_look(const struct torture *t, enum step *step);
bool scene_goes_on(const struct torture *t, uint32_t token);
void scene_ack(struct torture *t, uint32_t token, unsigned int user);

#endif
