// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "base/signals.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>

_Thread_local bool signals_blocked;

/* A thread that has blocked one of these and raises it is killed. */
static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS };

static void all_but_own(sigset_t *set)
{
	sigfillset(set);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(set, own[i]);
}

void signals_block(void)
{
	sigset_t set;

	all_but_own(&set);
	pthread_sigmask(SIG_SETMASK, &set, NULL);
	signals_blocked = true;
}

bool signals_are_blocked(void)
{
	sigset_t want;
	sigset_t now;

	all_but_own(&want);
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	for (int sig = 1; sig < NSIG; sig++) {
		/* libc lets nobody block its own */
		if (sigismember(&want, sig) == 1 && sigismember(&now, sig) == 0 && sig != SIGKILL &&
		    sig != SIGSTOP)
			return false;
	}
	return true;
}
