// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * An interrupt ends a run as the end of its time does. There is no signal handler: the signals are
 * blocked in every thread, so that no system call fails with EINTR, and the main thread looks once
 * a tick whether one has come.
 */
#include <signal.h>
#include <time.h>
#include "torture.h"

void torture_stop_catch(struct torture *t)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction old;
	size_t i;

	sigemptyset(&t->interrupts);
	/* Signals that were ignored when the program started (nohup) stay ignored. */
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (!sigaction(signals[i], NULL, &old) && old.sa_handler != SIG_IGN)
			sigaddset(&t->interrupts, signals[i]);
	sigprocmask(SIG_BLOCK, &t->interrupts, NULL);
}

bool torture_stopped(struct torture *t)
{
	struct timespec now = { 0 };
	int signal;

	if (!t->interrupted) {
		signal = sigtimedwait(&t->interrupts, NULL, &now);
		t->interrupted = signal > 0 ? signal : 0;
	}
	return t->interrupted;
}

void torture_stop_die(struct torture *t)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	sigaction(t->interrupted, &action, NULL);
	raise(t->interrupted);
	sigprocmask(SIG_UNBLOCK, &t->interrupts, NULL);
}
