// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* export-audit: which exported symbols have a consumer. Picks the subcommand. */
#include "base/command.h"
#include "base/complain.h"
#include "gate/cmd.h"
#include "history/cmd.h"
#include "own/cmd.h"
#include "scan/cmd.h"

#include <stdio.h>
#include <string.h>

static const struct command commands[] = {
	{ "scan", "[OPTION]... TREE", "Consumers of each symbol that a kernel source tree exports",
	  cmd_scan },
	{ "history", "REPO [--from TAG] [--to TAG] [OPTION]...",
	  "When each symbol of a git repository was exported, consumed and removed", cmd_history },
	{ "gate", "REPO BASE..HEAD | REPO --mbox FILE [--base BASE] [OPTION]...",
	  "A verdict on a series of patches", cmd_gate },
	{ "own", "--map=FILE [OPTION]...",
	  "A library's own symbols: each with a consumer that is no test", cmd_own },
	{ NULL },
};

static int usage(void)
{
	puts("Usage: export-audit COMMAND [ARGUMENT]...\n"
	     "Finds exported symbols without a consumer.\n");
	for (size_t i = 0; commands[i].name; i++)
		printf("  %-8s %s\n", commands[i].name, commands[i].summary);
	puts("\n'export-audit COMMAND --help' lists the options of a command.\n"
	     "Exit status: 0 clean, 1 findings, 2 could not do it.");
	return EXIT_CLEAN;
}

static int run(int argc, char **argv)
{
	if (argc < 2)
		return complain("name a command; see export-audit --help");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return usage();
	if (!strcmp(argv[1], "--version")) {
		puts("export-audit " EXPORT_AUDIT_VERSION);
		return EXIT_CLEAN;
	}
	for (size_t i = 0; commands[i].name; i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(&commands[i], argc - 1, argv + 1);
	return complain("no command '%s'; see export-audit --help", argv[1]);
}

/* If standard output did not take everything, the result is lost and the status says so. */
int main(int argc, char **argv)
{
	int status = run(argc, argv), failed = ferror(stdout);

	failed |= fflush(stdout);
	if (failed && status != EXIT_BROKEN)
		return complain("cannot write to standard output");
	return status;
}
