// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* export-audit gate: may this series be merged? */
#include "gate/cmd.h"
#include "base/complain.h"
#include "gate/out.h"
#include "gate/run.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define MAX_SETTINGS 32

struct options {
	const char *mbox, *base, *profile, *cache, *tags;
	const char *settings[MAX_SETTINGS];
	size_t n_settings;
	struct result_options results;
	bool json;
};

enum {
	OPT_MBOX = 256,
	OPT_BASE,
	OPT_PROFILE,
	OPT_RULE,
	OPT_JSON,
	OPT_CACHE,
	OPT_NO_CACHE,
	OPT_TAGS
};

static const struct option long_options[] = {
	{ "mbox", 1, NULL, OPT_MBOX },
	{ "base", 1, NULL, OPT_BASE },
	{ "profile", 1, NULL, OPT_PROFILE },
	{ "rule", 1, NULL, OPT_RULE },
	{ "json", 0, NULL, OPT_JSON },
	{ "cache", 1, NULL, OPT_CACHE },
	{ "no-cache", 0, NULL, OPT_NO_CACHE },
	RESULT_OPTIONS,
	{ "tags", 1, NULL, OPT_TAGS },
	{ "help", 0, NULL, 'h' },
	{ NULL },
};

static const char help[] =
	"  BASE..HEAD               the commits that HEAD has and BASE has not\n"
	"  --mbox FILE              the patches of a mailbox (- is stdin; .gz too), applied in "
	"memory\n"
	"  --base BASE              to this commit; default: the base-commit that the mails name\n"
	"  --profile NAME           williams (default) or glisse\n"
	"  --rule RULE=on|off|N     switch a rule, or set its deadline in merge windows:\n"
	"                           gpl, consumer=N, functionality, needed, orphaned, stale=N, "
	"ack, nack,\n"
	"                           overdue=N\n"
	"  --tags PATTERN           releases, not vX.Y: with one * for the version, as zfs-*\n"
	"  --json                   for programs\n"
	"  --gcc                    one line a finding: file:line: error: ...\n"
	"  --sarif FILE             write SARIF there too\n"
	"  --baseline FILE          errors that it lists are known and do not count\n"
	"  --write-baseline         write that file with the errors of now\n"
	"  --cache DIR              cache there, not in ${XDG_CACHE_HOME:-~/.cache}/export-audit\n"
	"  --no-cache               keep nothing\n"
	"Exit status: 0 pass, 1 fail, 2 could not judge.\n";

/* Return: 0, or an exit status and one. */
static int parse_one(const struct command *self, struct options *o, int c)
{
	if (result_option(&o->results, c, optarg))
		return 0;
	switch (c) {
	case OPT_MBOX:
		o->mbox = optarg;
		break;
	case OPT_BASE:
		o->base = optarg;
		break;
	case OPT_PROFILE:
		o->profile = optarg;
		break;
	case OPT_JSON:
		o->json = true;
		break;
	case OPT_CACHE:
		o->cache = optarg;
		break;
	case OPT_NO_CACHE:
		o->cache = "";
		break;
	case OPT_TAGS:
		o->tags = optarg;
		break;
	case OPT_RULE:
		if (o->n_settings == MAX_SETTINGS)
			return 1 + complain("gate: too many --rule");
		o->settings[o->n_settings++] = optarg;
		break;
	case 'h':
		return 1 + command_usage(self, help);
	case ':':
		return 1 + complain("gate: the last option needs an argument");
	default:
		return 1 + complain("gate: an option is not known; see export-audit gate --help");
	}
	return 0;
}

static int parse(const struct command *self, int argc, char **argv, struct options *o)
{
	int c, stop = 0, rest;

	opterr = 0;
	optind = 1;
	while (!stop && (c = getopt_long(argc, argv, ":h", long_options, NULL)) != -1)
		stop = parse_one(self, o, c);
	rest = argc - optind;
	if (!stop && (o->mbox ? rest != 1 : rest != 2 || o->base))
		stop = 1 +
		       complain("gate: give REPO BASE..HEAD, or REPO --mbox FILE [--base BASE]");
	if (!stop && result_options_check(&o->results))
		stop = 1 + EXIT_BROKEN;
	return stop;
}

static int choose_rules(const struct options *o, struct rules *rules)
{
	if (rules_profile(rules, o->profile))
		return complain("no profile '%s'; there are williams and glisse", o->profile);
	for (size_t i = 0; i < o->n_settings; i++)
		if (rules_set(rules, o->settings[i]))
			return EXIT_BROKEN;
	return 0;
}

/* Writes the verdict in all forms that were asked for.  Return: 0, or -errno after a complaint. */
static int print(struct gate *g, const struct options *o)
{
	struct results r;
	int err = gate_results(g, &r);

	if (!err)
		err = results_compare(&r, &o->results);
	if (!err)
		gate_know(g, &r);
	if (!err)
		err = results_write(&r, &o->results, NULL);
	results_free(&r);
	if (err || results_only(&o->results))
		return err;
	if (!o->json)
		gate_print_text(g);
	else if ((err = gate_print_json(g)))
		complain("out of memory");
	return err;
}

static int judge(struct repo *repo, const struct options *o, const struct rules *rules,
		 const struct series *series)
{
	struct harvest h;
	struct gate g;
	int status = EXIT_BROKEN;

	if (harvest_open(&h, repo, o->cache))
		return EXIT_BROKEN;
	if (!gate_run(&g, &h, series, rules, o->tags) && !print(&g, o)) {
		status = g.errors ? EXIT_FINDINGS : EXIT_CLEAN;
		if (fflush(stdout) || ferror(stdout))
			status = complain("the output could not be written");
	}
	gate_close(&g);
	harvest_close(&h);
	return status;
}

int cmd_gate(const struct command *self, int argc, char **argv)
{
	struct options o = { .profile = "williams" };
	struct rules rules;
	struct series series;
	struct repo repo;
	int status = parse(self, argc, argv, &o), err;

	if (status)
		return status - 1;
	if (choose_rules(&o, &rules) || repo_open(argv[optind], &repo))
		return EXIT_BROKEN;
	err = o.mbox ? series_of_mbox(&repo, o.mbox, o.base, &series)
		     : series_of_range(&repo, argv[optind + 1], &series);
	status = EXIT_BROKEN;
	if (!err) {
		status = judge(&repo, &o, &rules, &series);
		series_free(&series);
	}
	repo_close(&repo);
	return status;
}
