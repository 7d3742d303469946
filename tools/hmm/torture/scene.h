/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * scene: one operation forced into one window, step by step. While a scene is played nothing else
 * goes on. The users do each step together, and acknowledge it when they have done it.
 */
#ifndef TOOLS_HMM_TORTURE_SCENE_H
#define TOOLS_HMM_TORTURE_SCENE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum step {
	STEP_FREE,    /* no scene is played: each user works by itself */
	STEP_REST,    /* do nothing */
	STEP_HOLD,    /* fault the page, so that the device holds it */
	STEP_RUN,     /* use your translation, do not fault; acknowledged when you have begun */
	STEP_FAULT,   /* your translation was invalidated: fault the page again */
	STEP_AFTER,   /* the window is closed: try your translation */
	STEP_REFAULT, /* one user faults another page of the same memory */
	STEP_LAST,    /* try your translation once more */
};

struct scene {
	pthread_rwlock_t turn; /* held shared by operations, exclusively by a scene */
	_Atomic uint32_t step; /* number << 8 | enum step */
	_Atomic uint32_t acks; /* number << 8 | a bit for each user that has done it */
	_Atomic uint32_t held; /* a bit for each user that has a translation of the page */
	/* sections last until the program has had a chance to run, for some ticks */
	_Atomic bool patient;
	_Atomic bool unpinned; /* no user may pin the page, as a fork copies pinned pages early */
	_Atomic unsigned int slot;
	_Atomic unsigned int page;
};

struct torture;

void scene_init(struct torture *t);
void scene_exit(struct torture *t);

/* These two enclose an operation that is not part of a scene. */
void scene_wait_turn(struct torture *t);
void scene_end_turn(struct torture *t);

/*
 * The hostile thread that plays the scene calls these. scene_begin() waits until no operation is
 * under way.
 */
void scene_begin(struct torture *t, unsigned int slot, unsigned int page);
/* scene_start() lets the users begin a step; scene_done(): have all users done it? */
void scene_start(struct torture *t, enum step step);
bool scene_done(const struct torture *t);
/* Starts a step and waits. False: not all users have done it in time. */
bool scene_step(struct torture *t, enum step step);
void scene_end(struct torture *t);

/* Users call these. scene_look() returns a token for the step, which the other two take. */
uint32_t scene_look(const struct torture *t, enum step *step);
bool scene_goes_on(const struct torture *t, uint32_t token);
void scene_ack(struct torture *t, uint32_t token, unsigned int user);

#endif
