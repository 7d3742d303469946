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
	THREAD_RUNS,   /* it runs or is ready to, or nothing is known of it */
	THREAD_SLEEPS, /* in a system call (its number in nr), or in a fault (-1) */
	THREAD_POLLS,  /* a thread of the kernel's that never makes system calls for the program */
};

/*
 * Uses no heap and no stdio, so the pump may call it. A worker of io_uring, which has no user
 * registers, "runs" unless it waits for work. If the process may not read which system call a
 * thread is in, as when it is not dumpable, nr is a guess on the safe side: -1 for a thread that a
 * signal would wake, as a thread in a discard never sleeps like that; SYS_madvise otherwise.
 */
enum thread_state thread_state(pid_t tid, long *nr);

/* Has a debugger or a signal stopped the thread? */
bool thread_stopped(pid_t tid);
/* Does the thread sleep, in the kernel, of its own? One that is stopped does not. */
bool thread_waits(pid_t tid);

/*
 * The time that the thread has spent in user mode. Time in a system call never adds to it. False:
 * the kernel does not tell.
 */
bool thread_user_ns(pid_t tid, uint64_t *ns);

/* The number of the calling thread. Only the first call makes a system call. */
pid_t thread_self(void);
/* A forked child calls this, as the number that thread_self() keeps is the parent's. */
void thread_forked(void);

#endif
