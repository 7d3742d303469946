/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * brake: a call that is caught in the middle. Its thread may use one processor only, which we keep busy
 * but for short rests. Between one rest and the next we look how far the call has come; where it is
 * wanted we rest no more. The braked thread is SCHED_IDLE, which anybody may be, and gives way to any
 * other. Also to other programs', so that it can take seconds to get on when the machine is busy; given
 * the privilege, it and we are real-time threads while it shall get on.
 */
#ifndef TOOLS_HMM_TORTURE_BRAKE_H
#define TOOLS_HMM_TORTURE_BRAKE_H

#include <stdbool.h>

enum brake {
	BRAKE_NONE,
	BRAKE_IDLE,
	BRAKE_FIFO,
};

enum brake_look {
	BRAKE_NOT_YET,
	BRAKE_WAIT, /* others have something to do first: the call must not get on meanwhile */
	BRAKE_NEAR, /* about to be where it is wanted: go in small steps */
	BRAKE_HERE,
};

struct brake_job {
	int (*call)(void *arg); /* on the thread that is braked */
	enum brake_look (*look)(void *arg);
	/* Spun on while the call is held: true when it may go on. */
	bool (*done)(void *arg);
	/* Called now and then while the call, let go, has yet to return. */
	void (*wait)(void *arg);
	void *arg;
	enum brake kind;
};

/* How threads can be made to wait here. */
enum brake brake_probe(void);
/* Runs the call; *caught: it was held until done() said so. Returns what it returned. */
int brake_run(const struct brake_job *job, bool *caught);

#endif
