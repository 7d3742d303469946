/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Rules of the monitors that a build with -Dmutations=true breaks on purpose, to prove that a test
 * would notice: LIBHMM_MONITOR_BREAK names one. In other builds each is the constant false.
 */
#ifndef MONITOR_MUTATION_H
#define MONITOR_MUTATION_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MONITOR_BREAK_ENV "LIBHMM_MONITOR_BREAK"

#define FIRST_USE "first-use"     /* the registration that begins a watch is kept */
#define ANY_THREAD "any-thread"   /* so is one that began in another thread before the watch did */
#define UNDELIVERED "undelivered" /* a range is watched anew before its change is delivered */
#define TRUSTING "trusting"       /* a registration that was kept once is always true */
#define KEEP_EVICTED "keep-evicted" /* a record is dropped without a delivery */

static inline bool broken(const char *rule)
{
#ifdef HMM_MUTATIONS
	const char *value = getenv(MONITOR_BREAK_ENV);

	return value && !strcmp(value, rule);
#else
	(void)rule;
	return false;
#endif
}

#endif
