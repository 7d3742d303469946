/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * brake: catches a call in the middle. Its thread may use one processor only, which helper threads
 * keep busy except for short rests. Between two rests the caller looks how far the call has come.
 * When it is where it is wanted there are no more rests. The braked thread is SCHED_IDLE, which
 * needs no privilege, and gives way to all other threads. These may be other programs', so on a
 * busy machine the call can take seconds. With the privilege the braked thread and the caller are
 * real-time threads while the call is to go on.
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
	/* other threads have something to do first, and the call must not go on meanwhile */
	BRAKE_WAIT,
	BRAKE_NEAR, /* the call is nearly where it is wanted: let it go on in small steps */
	BRAKE_HERE,
};

struct brake_job {
	int (*call)(void *arg); /* runs on the braked thread */
	enum brake_look (*look)(void *arg);
	/* Called all the time while the call is held: true when it may go on. */
	bool (*done)(void *arg);
	/* Called now and then after the call was let go, until it returns. */
	void (*wait)(void *arg);
	void *arg;
	enum brake kind;
};

/* Which kind of brake this host allows. */
enum brake brake_probe(void);
/* Runs the call and returns what it returned. *caught: it was held until done() returned true. */
int brake_run(const struct brake_job *job, bool *caught);

#endif
