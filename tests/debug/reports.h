/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The messages of the library, kept in memory: the function that gets them may allocate nothing. */
#ifndef TESTS_DEBUG_REPORTS_H
#define TESTS_DEBUG_REPORTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hmm/hmm.h>

#define PAGE 4096UL
#define REPORTS_MAX 64

static char reports[REPORTS_MAX][1024];
static _Atomic unsigned int n_begun, n_reports;

static inline void keep(enum hmm_log_level level, const char *message, void *arg)
{
	const unsigned int i = atomic_fetch_add(&n_begun, 1);

	if (i < REPORTS_MAX && level == HMM_LOG_MISUSE)
		strncpy(reports[i], message, sizeof(reports[i]) - 1);
	atomic_fetch_add(&n_reports, 1);
}

static inline void reports_clear(void)
{
	memset(reports, 0, sizeof(reports));
	n_begun = n_reports = 0;
}

/* One report, of that function and about that; then none is left. */
static inline void expect_report(const char *function, const char *about)
{
	char name[64];

	snprintf(name, sizeof(name), "%s() ", function);
	if (n_reports != 1 || strncmp(reports[0], name, strlen(name)) ||
	    !strstr(reports[0], about)) {
		for (unsigned int i = 0; i < n_reports && i < REPORTS_MAX; i++)
			print_message("reported: %s\n", reports[i]);
		fail_msg("%u reports; wanted one of %s about '%s'", n_reports, function, about);
	}
	/* Where: the object, as addr2line wants it, and the thread. */
	assert_non_null(strstr(reports[0], "Called from 0x"));
	assert_non_null(strstr(reports[0], ", thread "));
	reports_clear();
}

static inline void expect_none(void)
{
	if (n_reports)
		fail_msg("reported: %s", reports[0]);
}

#endif
