/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Threads of the library's own. Their stacks come from pool.h, so no page of them is ever mirrored:
 * the kernel would join a stack that libc maps with memory of the program beside it, and what the
 * pump touches must not wait for the pump.
 */
#ifndef LIB_BASE_OWNTHREAD_H
#define LIB_BASE_OWNTHREAD_H

#include <pthread.h>
#include <stddef.h>

struct ownthread {
	pthread_t id;
	char *stack;
	size_t bytes;
};

/* Begins with all signals blocked; priority: of SCHED_FIFO, or 0. 0; -errno. */
int ownthread_start(struct ownthread *t, void *(*fn)(void *), void *arg, int priority);
/* Waits until it has ended. */
void ownthread_join(struct ownthread *t);

#endif
