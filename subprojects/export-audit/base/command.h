/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef COMMAND_H
#define COMMAND_H

/* The subcommands: each lives in cmd_NAME.c and has one line in the table in main.c. */

struct command {
	const char *name;
	const char *synopsis; /* arguments, after "export-audit NAME" */
	const char *summary;
	int (*run)(const struct command *self, int argc, char **argv); /* argv[0] is NAME */
};

/* Exit statuses shared by all: clean, findings, could not do it. */
enum { EXIT_CLEAN, EXIT_FINDINGS, EXIT_BROKEN };

/* One sentence on stderr, "export-audit: " before it; returns EXIT_BROKEN. */
__attribute__((format(printf, 1, 2))) int complain(const char *format, ...);

/* Says on stdout how the command is called; returns EXIT_CLEAN. */
int command_usage(const struct command *self, const char *options);

int cmd_scan(const struct command *self, int argc, char **argv);
int cmd_own(const struct command *self, int argc, char **argv);
int cmd_history(const struct command *self, int argc, char **argv);
int cmd_gate(const struct command *self, int argc, char **argv);

#endif
