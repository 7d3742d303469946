/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * calls: did this thread make a system call between calls_begin() and calls_end()? The kernel sends
 * a signal for each while it is told to (PR_SET_SYSCALL_USER_DISPATCH), and then makes the call.
 */
#ifndef TESTS_CALLS_H
#define TESTS_CALLS_H

#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <ucontext.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON 1
#endif

static volatile char calls_blocked; /* 1: SYSCALL_DISPATCH_FILTER_BLOCK */
static volatile int calls_last = -1;

#ifdef __x86_64__
static inline void calls_signal(int sig, siginfo_t *info, void *context)
{
	ucontext_t *u = context;

	(void)sig;
	calls_blocked = 0;
	calls_last = info->si_syscall;
	/* back to the instruction, with the number that the signal has replaced */
	u->uc_mcontext.gregs[REG_RIP] -= 2;
	u->uc_mcontext.gregs[REG_RAX] = info->si_syscall;
}

/* False: this kernel cannot tell. */
static inline bool calls_begin(void)
{
	struct sigaction sa = { .sa_sigaction = calls_signal, .sa_flags = SA_SIGINFO };

	sigaction(SIGSYS, &sa, NULL);
	calls_last = -1;
	calls_blocked = 0;
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &calls_blocked))
		return false;
	calls_blocked = 1;
	return true;
}
#else
static inline bool calls_begin(void)
{
	return false;
}
#endif

/* The number of a call that was made; -1: there was none. */
static inline int calls_end(void)
{
	calls_blocked = 0;
	return calls_last;
}

#endif
