/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef COMMAND_H
#define COMMAND_H

/*
 * A subcommand, as main.c lists it. Each lives in the folder of its name, and its options are read
 * in cmd.c there.
 */

struct command {
	const char *name;
	const char *synopsis; /* arguments, after "export-audit NAME" */
	const char *summary;
	int (*run)(const struct command *self, int argc, char **argv); /* argv[0] is NAME */
};

/* Prints how the command is called on standard output; returns EXIT_CLEAN. */
int command_usage(const struct command *self, const char *options);

#endif
