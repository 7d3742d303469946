// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* hmm: picks the subcommand. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "command.h"

const char *command_name;

static const struct command commands[] = {
	{ "info", "what this host, privilege and kernel give", cmd_info },
	{ "run", "run a job on a device, over a program's own memory", cmd_run },
	{ "map", "a picture of an address space and what a device holds of it", cmd_map },
	{ "bench", "measure, each figure beside its baseline", cmd_bench },
	{ "torture", "change memory under running devices and look for stale accesses",
	  cmd_torture },
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

int complain(int status, const char *format, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, command_name ? "hmm %s: " : "hmm: ", command_name);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

int complain_attach(int error)
{
	switch (error) {
	case -EPERM:
		return complain(
			EXIT_HOST,
			"no permission to use userfaultfd (see vm.unprivileged_userfaultfd, "
			"/dev/userfaultfd, or the container's seccomp profile)");
	case -ENOSYS:
		return complain(EXIT_HOST,
				"this kernel has no userfaultfd, or a seccomp profile denies it");
	case -EOPNOTSUPP:
		return complain(EXIT_HOST,
				"this kernel is too old: its userfaultfd does not report unmaps, "
				"moves and discards");
	}
	return complain(EXIT_HOST, "cannot attach to the address space: %s", strerror(-error));
}

static int usage(FILE *to)
{
	fputs("Usage: hmm COMMAND [OPTION]... [ARGUMENT]...\n"
	      "Shared virtual memory for user-space devices.\n\n",
	      to);
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fputs("\n'hmm COMMAND --help' lists a command's options.\n"
	      "Exit status: 0 done, 1 a finding, 2 bad options or input, 3 this host cannot.\n",
	      to);
	return to == stdout ? EXIT_DONE : EXIT_INPUT;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return usage(stderr);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return usage(stdout);
	if (!strcmp(argv[1], "--version")) {
		puts("hmm " HMM_VERSION);
		return EXIT_DONE;
	}
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		command_name = commands[i].name;
		return commands[i].run(argc - 1, argv + 1);
	}
	return complain(EXIT_INPUT, "no command '%s'; see 'hmm --help'", argv[1]);
}
