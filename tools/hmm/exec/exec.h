/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* hmm exec: a program with monitors preloaded, and what they did. */
#ifndef TOOLS_HMM_EXEC_EXEC_H
#define TOOLS_HMM_EXEC_EXEC_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "counters.h"

/* A shared object of a monitor. */
struct module {
	const char *monitor; /* its name: --monitor, LIBHMM_MONITOR */
	const char *library; /* whose caches it serves */
	const char *file;
	char path[PATH_MAX]; /* "" if it is not installed */
	bool wanted;
};

struct run {
	const char *monitor; /* ofi, ucx, auto, none */
	struct module modules[N_MONITORS];
	char path[PATH_MAX]; /* the program */
	const char
		*not_preloaded; /* why its dynamic linker ignores LD_PRELOAD; NULL: it does not */
	int attach_error;       /* -errno: no monitor can serve here */
	struct counters counters;
	int status; /* of waitpid() */
};

/* setting.c: the environment that the program gets. 0 or an exit status. */
int set_environment(const struct run *r);

/* report.c: what the monitors did. */
void report_text(const struct run *r, FILE *to);
void report_json(const struct run *r, char **argv, FILE *to);

#endif
