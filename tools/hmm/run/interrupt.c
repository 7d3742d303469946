// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The one signal handler of the command: notes which signal came, nothing else. */
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

#include "session.h"

static volatile sig_atomic_t caught;
static atomic_bool held;

static void note(int signal)
{
	caught = signal;
}

void interrupts_catch(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = note }, old;

	/* What the caller of the program ignores (nohup) stays ignored. No SA_RESTART: waits end.
	 */
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (!sigaction(signals[i], NULL, &old) && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
}

bool interrupted(void)
{
	return caught && !atomic_load_explicit(&held, memory_order_relaxed);
}

void interrupts_hold(bool hold)
{
	atomic_store_explicit(&held, hold, memory_order_relaxed);
}

void interrupts_die(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	/* What was done is told. */
	fflush(stdout);
	sigaction(caught, &action, NULL);
	raise(caught);
}
