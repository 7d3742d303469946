/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The command's parts: subcommands, exit statuses, complaints. */
#ifndef TOOLS_HMM_COMMAND_H
#define TOOLS_HMM_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit statuses, the same for every subcommand. */
enum {
	EXIT_DONE = 0,
	/* It ran, and what it found is wrong: a stale access, a failed verification. */
	EXIT_FINDING = 1,
	EXIT_INPUT = 2, /* bad options, or input that cannot be used */
	EXIT_HOST = 3,  /* this kernel, privilege or container cannot */
	/* It failed while it ran: the device, memory, or a result that could not be written. */
	EXIT_FAILED = 4,
	/* An interrupt ends the program by the signal itself, after it has cleaned up. */
};

struct command {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
};

int cmd_info(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_map(int argc, char **argv);
int cmd_torture(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_exec(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_watchd(int argc, char **argv);

/*
 * "hmm COMMAND: ..." as one line on standard error, whatever is in the names that it cites;
 * returns status, so that callers can return it.
 */
int complain(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Which subcommand runs, for complaints; set by main(). */
extern const char *command_name;

/* "0.1.0" */
const char *library_version(char *text, size_t size);

#endif
