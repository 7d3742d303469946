// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "watchd/options.h"
#include "watchd/protocol.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"Usage: hmm-watchd --foreground [OPTION]...\n"
	"Tells processes, through libhmm, what changes in their own address spaces.\n\n"
	"  --foreground           run here; systemd starts it without this, with a socket\n"
	"  --socket PATH          where to listen (" WATCHD_SOCKET ")\n"
	"  --user NAME            the user that root becomes (nobody)\n"
	"  --anchored             see only spaces that have a notifier in the kernel\n"
	"  --spaces N             processes that are watched at one time (1024)\n"
	"  --user-spaces N        of them those of one user (256)\n"
	"  --log-bytes SIZE       the largest log of one process (8M)\n"
	"  --user-log-bytes SIZE  all logs of one user (128M)\n"
	"  --total-log-bytes SIZE all logs (512M)\n"
	"  --idle SECONDS         exit when nobody has been watched for so long (0: never)\n"
	"  --patience MS          drop a process that takes longer to ask (5000)\n"
	"  --help, --version\n\n"
	"SIZE may end in K, M or G.\n"
	"Exit status: 0 done, 2 bad options, 3 this host cannot, 4 it failed.\n";

enum {
	FOREGROUND = 256,
	SOCKET,
	USER,
	ANCHORED,
	SPACES,
	USER_SPACES,
	LOG,
	USER_LOG,
	TOTAL_LOG,
	IDLE,
	PATIENCE,
	HELP,
	VERSION
};

static const struct option names[] = {
	{ "foreground", no_argument, NULL, FOREGROUND },
	{ "socket", required_argument, NULL, SOCKET },
	{ "user", required_argument, NULL, USER },
	{ "anchored", no_argument, NULL, ANCHORED },
	{ "spaces", required_argument, NULL, SPACES },
	{ "user-spaces", required_argument, NULL, USER_SPACES },
	{ "log-bytes", required_argument, NULL, LOG },
	{ "user-log-bytes", required_argument, NULL, USER_LOG },
	{ "total-log-bytes", required_argument, NULL, TOTAL_LOG },
	{ "idle", required_argument, NULL, IDLE },
	{ "patience", required_argument, NULL, PATIENCE },
	{ "help", no_argument, NULL, HELP },
	{ "version", no_argument, NULL, VERSION },
	{ NULL, 0, NULL, 0 },
};

/* A number in [least, most]; `units`: it may end in K, M or G. */
static bool number(const char *text, uint64_t least, uint64_t most, bool units, uint64_t *value)
{
	static const char letters[] = "KMG";
	const char *letter;
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	if (errno || end == text || *text == '-' || *text == '+' || *text == ' ')
		return false;
	letter = units && *end ? strchr(letters, *end) : NULL;
	if (letter) {
		const unsigned int shift = 10 * (unsigned int)(letter - letters + 1);

		if (*value > UINT64_MAX >> shift)
			return false;
		*value <<= shift;
		end++;
	}
	return !*end && *value >= least && *value <= most;
}

static bool take_limit(int name, const char *text, struct limits *limits)
{
	uint64_t n;

	switch (name) {
	case SPACES:
		return number(text, 1, 65536, false, &n) && (limits->spaces = n, true);
	case USER_SPACES:
		return number(text, 1, 65536, false, &n) && (limits->user_spaces = n, true);
	case LOG:
		return number(text, 4096, 1 << 30, true, &limits->log_bytes) &&
		       !(limits->log_bytes & (limits->log_bytes - 1));
	case USER_LOG:
		return number(text, 4096, 1ULL << 40, true, &limits->user_log_bytes);
	case TOTAL_LOG:
		return number(text, 4096, 1ULL << 40, true, &limits->total_log_bytes);
	}
	return false;
}

static bool take(int name, const char *text, struct options *options)
{
	uint64_t seconds;

	switch (name) {
	case FOREGROUND:
		options->foreground = true;
		return true;
	case ANCHORED:
		options->anchored = true;
		return true;
	case SOCKET:
		options->socket = text;
		return *text;
	case USER:
		options->user = text;
		return *text;
	case IDLE:
		if (!number(text, 0, 1 << 30, false, &seconds))
			return false;
		options->idle_ms = seconds * 1000;
		return true;
	case PATIENCE:
		return number(text, 1, 3600000, false, &options->patience_ms);
	default:
		return take_limit(name, text, &options->limits);
	}
}

static int refused(void)
{
	fputs("'hmm-watchd --help' lists the options\n", stderr);
	return 2;
}

int options_parse(int argc, char **argv, struct options *options)
{
	int name, at = 0;

	*options = (struct options){ .socket = WATCHD_SOCKET,
				     .user = "nobody",
				     .patience_ms = 5000,
				     .limits = LIMITS_DEFAULT };
	while ((name = getopt_long(argc, argv, "", names, &at)) != -1) {
		if (name == HELP) {
			fputs(usage, stdout);
			return 0;
		}
		if (name == VERSION) {
			puts("hmm-watchd " PROJECT_VERSION);
			return 0;
		}
		if (name == '?')
			return refused();
		if (!take(name, optarg, options)) {
			fprintf(stderr, "hmm-watchd: --%s cannot be '%s'\n", names[at].name,
				optarg);
			return refused();
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "hmm-watchd: what is '%s'?\n", argv[optind]);
	return refused();
}
