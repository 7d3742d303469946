/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* sigbus: does a touch raise SIGBUS? */
#ifndef TESTS_SIGBUS_H
#define TESTS_SIGBUS_H

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>

static sigjmp_buf sigbus_out;

static inline void on_sigbus(int sig)
{
	(void)sig;
	siglongjmp(sigbus_out, 1);
}

static inline bool is_sigbus(const char *p)
{
	const struct sigaction sa = { .sa_handler = on_sigbus };

	if (sigsetjmp(sigbus_out, 1))
		return true;
	sigaction(SIGBUS, &sa, NULL);
	(void)*(const volatile char *)p;
	return false;
}

#endif
