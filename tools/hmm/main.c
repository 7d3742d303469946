// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* hmm: picks the subcommand. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <hmm/version.h>

#include "command.h"
#include "log.h"
#include "streams.h"
#include "suggest.h"
#include "term.h"

const char *command_name;

static const struct command commands[] = {
	{ "info", "what this host, privilege and kernel give", cmd_info },
	{ "run", "run a job on a device, over a program's own memory", cmd_run },
	{ "map", "a picture of an address space and what a device holds of it", cmd_map },
	{ "bench", "measure, each figure beside its baseline", cmd_bench },
	{ "exec", "run a program whose registration caches cannot be stale", cmd_exec },
	{ "events", "what becomes invalid in a program's address space, and who does it",
	  cmd_events },
	{ "watchd", "the service that gives processes exact events", cmd_watchd },
	{ "torture", "change memory under running devices and look for stale accesses",
	  cmd_torture },
};

/* Of the library that runs: it need not be the one that this was built with. */
const char *library_version(char *text, size_t size)
{
	const uint32_t v = hmm_version();

	snprintf(text, size, "%u.%u.%u", v >> 16, v >> 8 & 255, v & 255);
	return text;
}

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

int complain(int status, const char *format, ...)
{
	char *text = NULL, *shown;
	va_list ap;

	fflush(stdout);
	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	/* Names may hold anything; a complaint is one line. */
	shown = text ? malloc(4 * strlen(text) + 1) : NULL;
	fprintf(stderr, "hmm%s%s: %s\n", command_name ? " " : "", command_name ? command_name : "",
		shown ? printable(shown, 4 * strlen(text) + 1, text) : "not enough memory");
	free(shown);
	free(text);
	return status;
}

static int usage(FILE *to)
{
	fputs("Usage: hmm COMMAND [OPTION]... [ARGUMENT]...\n"
	      "Shared virtual memory for user-space devices.\n\n",
	      to);
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fputs("\n'hmm COMMAND --help' lists a command's options.\n"
	      "Exit status: 0 done, 1 a finding, 2 bad options or input, 3 this host cannot,\n"
	      "4 it failed while it ran, or the result could not be written.\n",
	      to);
	return to == stdout ? EXIT_DONE : EXIT_INPUT;
}

static int run(int argc, char **argv)
{
	struct suggestion near;
	char text[64];

	if (argc < 2)
		return usage(stderr);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return usage(stdout);
	if (!strcmp(argv[1], "--version")) {
		printf("hmm %s\n", library_version(text, sizeof(text)));
		return EXIT_DONE;
	}
	near = suggest(argv[1]);
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(argv[1], commands[i].name)) {
			suggest_one(&near, commands[i].name);
			continue;
		}
		command_name = commands[i].name;
		return commands[i].run(argc - 1, argv + 1);
	}
	if (*argv[1] == '-')
		return complain(EXIT_INPUT, "no option '%s' before a COMMAND; see 'hmm --help'",
				argv[1]);
	return complain(EXIT_INPUT, "no command '%s'%s; see 'hmm --help'", argv[1],
			did_you_mean(text, &near, ""));
}

int main(int argc, char **argv)
{
	streams_begin();
	term_init();
	log_begin();
	return streams_end(log_end(run(argc, argv)));
}
