/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * brake: makes the calling thread's next system call last. A real-time thread on the same processor
 * takes it away again and again, so that users on another one find pages which are about to go.
 * Needs root, else it does nothing.
 */
#ifndef TOOLS_HMM_TORTURE_BRAKE_H
#define TOOLS_HMM_TORTURE_BRAKE_H

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>

struct brake {
	pthread_t thread;
	cpu_set_t before;
	bool on;
	_Atomic bool done;
};

void brake_pull(struct brake *brake);
void brake_release(struct brake *brake);

#endif
