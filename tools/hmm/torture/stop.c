// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Interrupts end a run as the end of its time does. No handler: they are blocked in every thread,
 * whose system calls must not fail for them, and the main thread looks once a tick whether one
 * has come.
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
	/* What the caller of the program ignores (nohup) stays ignored. */
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
