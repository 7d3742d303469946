// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* hmm torture: options, the run, the verdict as exit status. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../../lib/base/mutation.h"
#include "../attach.h"
#include "../command.h"
#include "../options.h"
#include "../streams.h"
#include "away/away.h"
#include "torture.h"

#define DEFAULT_SEED 1
#define DEFAULT_SECONDS 10.0
#define LONG_SECONDS 3600.0

static struct torture run; /* in .bss, which is never mirrored */

/* The mutations, for --help; NULL: no memory. */
static char *mutations(void)
{
	const char *name, *what;
	char *text = NULL;
	size_t size, i;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	fputs("An interrupt ends the run early; what was seen so far is reported.\nMutations:\n",
	      f);
	for (i = 0; (name = hmm_mutation_name(i, &what)); i++)
		fprintf(f, "  %-24s %s\n", name, what);
	fputs("Mutations of what reads the kernel's log (--provider bpf, both):\n", f);
	for (i = 0; (name = hmm_mutation_log_name(i, &what)); i++)
		fprintf(f, "  %-24s %s\n", name, what);
	fputs("Mutations of device memory (--migrate, --exclusive):\n", f);
	for (i = 0; (name = hmm_mutation_away_name(i, &what)); i++)
		fprintf(f, "  %-24s %s\n", name, what);
	return fclose(f) ? NULL : text;
}

/* 0; -1: the command ends with *status. */
static int parse(int argc, char **argv, struct options *opt, int *status)
{
	const struct option_row rows[] = {
		{ "seconds", 's', OPTION_REAL, "N", "how long (10); with --long at most (3600)",
		  &opt->seconds, 0, 86400 },
		{ "seed", 0, OPTION_NUMBER, "S", "replays the choices of an earlier run (1)",
		  &opt->seed, 0, UINT64_MAX },
		{ "long", 'l', OPTION_FLAG, NULL,
		  "until 1,000,000 operations and 1,000,000 accepted uses", &opt->longer },
		{ "migrate", 'm', OPTION_FLAG, NULL,
		  "pages go to device memory and come home instead", &opt->migrate },
		{ "exclusive", 'x', OPTION_FLAG, NULL,
		  "a device has pages for itself; --long: 1,000,000 times", &opt->exclusive },
		PROVIDER_ROW,
		{ "break", 'b', OPTION_STRING, "NAME",
		  "break a rule of the protocol; only in builds with -Dmutations=true",
		  &opt->mutation },
		{ "json", 'j', OPTION_FLAG, NULL, "one JSON object", &opt->json },
		{ NULL },
	};
	char *more = mutations();
	const struct option_table table = {
		"[OPTION]...", "Changes memory under running devices and looks for stale accesses",
		rows, more
	};
	int first = options_parse(&table, argc, argv, status);

	free(more);
	if (first == OPTIONS_EXIT)
		return -1;
	if (first == argc)
		return 0;
	*status = complain(EXIT_INPUT, "takes no operand, and '%s' is one", argv[first]);
	return -1;
}

/* 0; or the exit status, and it has printed why the torture cannot run here. */
static int check_host(void)
{
	long page = sysconf(_SC_PAGESIZE);
	struct hmm_mm *mm;
	int ret;

	if (page != HMM_PAGE_SIZE)
		return complain(EXIT_HOST, "needs pages of 4 KiB, this host's have %ld KiB",
				page / 1024);
	ret = space_attach(&mm);
	if (ret)
		return complain_attach(ret);
	hmm_mm_detach(mm);
	return 0;
}

static bool is_away(void)
{
	return run.opt.migrate || run.opt.exclusive;
}

static void print_begin(void)
{
	const char *longer = is_away() ? "until 1000000 exclusive transfers, at most "
				       : "until 1000000 operations and 1000000 accepted uses, at "
					 "most ";

	printf("hmm torture: seed %llu, %s%g s%s%s\n", (unsigned long long)run.opt.seed,
	       run.opt.longer && (!is_away() || run.opt.exclusive) ? longer : "", run.opt.seconds,
	       run.opt.mutation ? ", broken on purpose: " : "",
	       run.opt.mutation ? run.opt.mutation : "");
	fflush(stdout);
}

static bool report(void)
{
	if (is_away() && run.opt.json)
		away_report_json(&run);
	else if (is_away())
		away_report(&run);
	else if (run.opt.json)
		torture_report_json(&run);
	else
		torture_report(&run);
	return is_away() ? away_passed(&run) : torture_passed(&run);
}

int cmd_torture(int argc, char **argv)
{
	int status, ret;

	run.opt.seed = DEFAULT_SEED;
	if (parse(argc, argv, &run.opt, &status))
		return status;
	if (!(run.opt.seconds > 0))
		run.opt.seconds = run.opt.longer ? LONG_SECONDS : DEFAULT_SECONDS;
	ret = hmm_mutation_set(run.opt.mutation);
	if (ret == -EOPNOTSUPP)
		return complain(EXIT_INPUT, "--break needs a build with -Dmutations=true");
	if (ret)
		return complain(EXIT_INPUT, "no mutation '%s'; see 'hmm torture --help'",
				run.opt.mutation);
	status = check_host();
	if (status)
		return status;
	if (!run.opt.json)
		print_begin();
	torture_stop_catch(&run);
	ret = is_away() ? away_run(&run) : torture_run(&run);
	if (ret)
		return ret == -EOPNOTSUPP ? EXIT_HOST : EXIT_FAILED;
	status = streams_end(report() || run.interrupted ? EXIT_DONE : EXIT_FINDING);
	if (findings_all())
		status = EXIT_FINDING;
	else if (run.interrupted)
		torture_stop_die(&run);
	if (findings_of(FINDING_HANG) || (is_away() && findings_all()))
		_exit(status); /* its threads cannot be joined */
	return status;
}
