/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What the kernel tells of a thread of this process. */
#ifndef LIB_MM_THREAD_H
#define LIB_MM_THREAD_H

#include <stdbool.h>
#include <sys/types.h>

enum thread_state {
	THREAD_GONE,
	THREAD_RUNS,   /* runs, or could; or nothing can be said */
	THREAD_SLEEPS, /* in a system call (its number in nr), or in a fault (-1) */
};

/* No heap, no stdio: legal on the pump. A worker of io_uring, which has no user registers, "runs". */
enum thread_state thread_state(pid_t tid, long *nr);

/* Stopped by a debugger or a signal, wherever it was: it will go on from there. */
bool thread_stopped(pid_t tid);

/* The calling thread, without a system call after the first. */
pid_t thread_self(void);
/* In a forked child: the number it was told is its parent's. */
void thread_forked(void);

#endif
