// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A file that shrinks takes the end of its mapping away: what a device reads there fails, what
 * the CPU reads raises SIGBUS. The handler is there before the engines' own, which pass on what
 * is none of theirs.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>

#include "session.h"

static _Thread_local sigjmp_buf *way_out;

static void on_bus(int signal)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	if (way_out)
		siglongjmp(*way_out, 1);
	/* Nobody expects it: happens again, and ends the program. */
	sigaction(signal, &action, NULL);
}

void shrink_catch(void)
{
	struct sigaction action = { .sa_handler = on_bus };

	sigaction(SIGBUS, &action, NULL);
}

int shrink_guard(int (*fn)(void *arg), void *arg)
{
	sigjmp_buf here;
	int ret = -EFAULT;

	if (!sigsetjmp(here, 1)) {
		way_out = &here;
		ret = fn(arg);
	}
	way_out = NULL;
	return ret;
}
