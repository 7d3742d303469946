/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What the kernel tells of a thread of this process. */
#ifndef LIB_MM_THREAD_H
#define LIB_MM_THREAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum thread_state {
	THREAD_GONE,
	THREAD_ENDED,  /* the first thread of the process has ended; its number stays */
	THREAD_RUNS,   /* runs, or could; or nothing can be said */
	THREAD_SLEEPS, /* in a system call (its number in nr), or in a fault (-1) */
	THREAD_POLLS,  /* a thread of the kernel's that never makes system calls for the program */
};

/*
 * No heap, no stdio: legal on the pump. A worker of io_uring, which has no user registers, "runs"
 * unless it waits for work. Where the system call may not be read, as in a process that is not
 * dumpable, nr is the worst that it can be: -1 asleep so that a signal would wake it, which a
 * discard never is; SYS_madvise otherwise.
 */
enum thread_state thread_state(pid_t tid, long *nr);

/* Stopped by a debugger or a signal, wherever it was: it will go on from there. */
bool thread_stopped(pid_t tid);

/*
 * The time that the thread has spent in user mode: it grows only by what was spent there, never by
 * what was spent in a system call. False: not to be had.
 */
bool thread_user_ns(pid_t tid, uint64_t *ns);

/* The calling thread, without a system call after the first. */
pid_t thread_self(void);
/* In a forked child: the number it was told is its parent's. */
void thread_forked(void);

#endif
