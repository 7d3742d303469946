/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* hmm exec: a program with monitors preloaded, and what they did. */
#ifndef TOOLS_HMM_EXEC_EXEC_H
#define TOOLS_HMM_EXEC_EXEC_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "counters.h"

#define EXIT_NO_EXEC 126 /* the program is there and cannot be run, as a shell has it */
#define EXIT_NO_FILE 127 /* there is no such program */
#define EXIT_SIGNAL 128  /* and the number of the signal that ended it */

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

/* module.c: the folder that the running tool is in, without a slash at the end. 0 or -errno */
int own_folder(char *folder, size_t size);
/* Fills in what there is: of the build tree that the tool is in, or where both were installed. */
void modules_find(struct module *modules);

/*
 * program.c: as a shell finds it, then beside the tool. 0; -ENOENT; -EACCES: there, and not to be
 * run.
 */
int program_find(const char *name, char *path);
/* Why the dynamic linker would ignore LD_PRELOAD for it, in words; NULL if it does not. */
const char *program_ignores_preload(const char *path);

/* setting.c: the environment that the program gets. 0 or an exit status. */
int set_environment(const struct run *r);

/*
 * child.c: runs it and waits, passing signals on; *status is that of waitpid(). 0; -errno of
 * execve() or fork().
 */
int run_child(const char *path, char **argv, int *status);

/* exec.c: what a shell makes of the status of waitpid(). */
int status_in_shell(int status);

/* report.c: what the monitors did. */
void report_text(const struct run *r, FILE *to);
void report_json(const struct run *r, char **argv, FILE *to);

#endif
