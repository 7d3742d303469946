// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* hmm torture: options, the run, the verdict as exit status. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../../lib/base/mutation.h"
#include "../command.h"
#include "torture.h"

#define DEFAULT_SEED 1
#define DEFAULT_SECONDS 10.0
#define LONG_SECONDS 3600.0

static struct torture run; /* in .bss, which is never mirrored */

static int usage(FILE *out)
{
	const char *name, *text;
	size_t i;

	fprintf(out,
		"usage: hmm torture [--seconds N] [--seed S] [--break MUTATION] [--long] [--json]\n"
		"  --seconds N   how long (10); with --long at most (3600)\n"
		"  --seed S      replays the choices of an earlier run (1)\n"
		"  --long        until 1,000,000 operations and 1,000,000 accepted uses\n"
		"  --break NAME  break one rule of the protocol; only in builds with "
		"-Dmutations=true:\n");
	for (i = 0; (name = hmm_mutation_name(i, &text)); i++)
		fprintf(out, "      %-18s %s\n", name, text);
	return out == stderr ? 2 : 0;
}

static int bad(const char *what, const char *value)
{
	fprintf(stderr, "hmm torture: %s is not a valid %s\n", value, what);
	return 2;
}

/* 0; -1: go no further, *status is the exit status. */
static int parse(int argc, char **argv, struct options *opt, int *status)
{
	static const struct option table[] = {
		{ "seconds", required_argument, NULL, 's' },
		{ "seed", required_argument, NULL, 'r' },
		{ "break", required_argument, NULL, 'b' },
		{ "json", no_argument, NULL, 'j' },
		{ "long", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	char *end;
	int c;

	*status = 2;
	optind = 0;
	while ((c = getopt_long(argc, argv, "+h", table, NULL)) != -1) {
		switch (c) {
		case 's':
			opt->seconds = strtod(optarg, &end);
			if (*end || end == optarg || !(opt->seconds > 0) || opt->seconds > 86400)
				return *status = bad("number of seconds", optarg), -1;
			break;
		case 'r':
			errno = 0;
			opt->seed = strtoull(optarg, &end, 0);
			if (*end || end == optarg || errno || *optarg == '-')
				return *status = bad("seed", optarg), -1;
			break;
		case 'b':
			opt->mutation = optarg;
			break;
		case 'j':
			opt->json = true;
			break;
		case 'l':
			opt->longer = true;
			break;
		case 'h':
			return *status = usage(stdout), -1;
		default:
			return -1;
		}
	}
	if (optind == argc)
		return 0;
	fprintf(stderr, "hmm torture: takes no argument, got %s\n", argv[optind]);
	return -1;
}

/* 0; or the status, and said why it cannot be done here. */
static int check_host(void)
{
	long page = sysconf(_SC_PAGESIZE);
	struct hmm_mm *mm;
	int rc;

	if (page != HMM_PAGE_SIZE)
		return complain(EXIT_HOST, "needs pages of 4 KiB, this host's have %ld KiB",
				page / 1024);
	rc = hmm_mm_attach(NULL, &mm);
	if (rc)
		return complain_attach(rc);
	hmm_mm_detach(mm);
	return 0;
}

int cmd_torture(int argc, char **argv)
{
	int status, rc;

	run.opt.seed = DEFAULT_SEED;
	if (parse(argc, argv, &run.opt, &status))
		return status;
	if (!(run.opt.seconds > 0))
		run.opt.seconds = run.opt.longer ? LONG_SECONDS : DEFAULT_SECONDS;
	rc = hmm_mutation_set(run.opt.mutation);
	if (rc == -EOPNOTSUPP) {
		fprintf(stderr, "hmm torture: --break needs a build with -Dmutations=true\n");
		return 2;
	}
	if (rc)
		return bad("mutation (see hmm torture --help)", run.opt.mutation);
	status = check_host();
	if (status)
		return status;
	if (!run.opt.json)
		printf("hmm torture: seed %llu, %s%g s%s%s\n", (unsigned long long)run.opt.seed,
		       run.opt.longer
			       ? "until 1000000 operations and 1000000 accepted uses, at most "
			       : "",
		       run.opt.seconds, run.opt.mutation ? ", broken on purpose: " : "",
		       run.opt.mutation ? run.opt.mutation : "");
	fflush(stdout);
	rc = torture_run(&run);
	if (rc)
		return EXIT_HOST;
	if (run.opt.json)
		torture_report_json(&run);
	else
		torture_report(&run);
	fflush(stdout);
	status = torture_passed(&run) ? 0 : 1;
	if (findings_of(FINDING_HANG))
		_exit(status); /* its threads cannot be joined */
	return status;
}
