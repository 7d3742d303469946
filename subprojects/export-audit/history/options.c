// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Reads the options of export-audit history. */
#include "history/options.h"
#include "base/complain.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	OPT_FROM = 256,
	OPT_TO,
	OPT_RC,
	OPT_JSON,
	OPT_CSV,
	OPT_HTML,
	OPT_PROFILE,
	OPT_DEADLINE,
	OPT_CANDIDATES,
	OPT_UNCONSUMED,
	OPT_SYMBOL,
	OPT_PATH,
	OPT_SUBSYSTEM,
	OPT_LICENCE,
	OPT_COMMITS,
	OPT_CACHE,
	OPT_NO_CACHE,
	OPT_STATS,
	OPT_TAGS,
};

static const struct option long_options[] = {
	{ "from", 1, NULL, OPT_FROM },
	{ "to", 1, NULL, OPT_TO },
	{ "rc", 0, NULL, OPT_RC },
	{ "json", 0, NULL, OPT_JSON },
	{ "csv", 0, NULL, OPT_CSV },
	{ "html", 0, NULL, OPT_HTML },
	{ "profile", 1, NULL, OPT_PROFILE },
	{ "deadline", 1, NULL, OPT_DEADLINE },
	{ "candidates", 0, NULL, OPT_CANDIDATES },
	{ "unconsumed", 0, NULL, OPT_UNCONSUMED },
	{ "symbol", 1, NULL, OPT_SYMBOL },
	{ "path", 1, NULL, OPT_PATH },
	{ "subsystem", 1, NULL, OPT_SUBSYSTEM },
	{ "licence", 1, NULL, OPT_LICENCE },
	{ "commits", 0, NULL, OPT_COMMITS },
	{ "cache", 1, NULL, OPT_CACHE },
	{ "no-cache", 0, NULL, OPT_NO_CACHE },
	{ "stats", 0, NULL, OPT_STATS },
	{ "tags", 1, NULL, OPT_TAGS },
	RESULT_OPTIONS,
	{ "help", 0, NULL, 'h' },
	{ NULL },
};

static const char help[] =
	"  --from TAG, --to TAG   look at these releases only\n"
	"  --rc                   release candidates are releases too\n"
	"  --tags PATTERN         releases, not vX.Y: with one * for the version, as zfs-*\n"
	"  --profile NAME         williams: 1 window after the one of the export (default); "
	"glisse: 3\n"
	"  --deadline N           that many windows instead\n"
	"  --candidates           only candidates for a revert\n"
	"  --unconsumed           only symbols that the last release exports without a consumer\n"
	"  --commits              with each candidate, the commit that brought the export\n"
	"  --symbol PATTERN, --path PATH, --subsystem TEXT, --licence gpl|plain\n"
	"                         only these, as in scan\n"
	"  --json, --csv, --html  other formats than the table; the page needs nothing else\n"
	"  --gcc                  one line a candidate: file:line: error: ...\n"
	"  --sarif FILE           write SARIF about the candidates there too\n"
	"  --baseline FILE        candidates that it lists are known and do not count\n"
	"  --write-baseline       write that file with the candidates of now\n"
	"  --cache DIR            cache there, not in ${XDG_CACHE_HOME:-~/.cache}/export-audit\n"
	"  --no-cache             keep nothing\n"
	"  --stats                say on stderr how much was read\n";

static int parse_number(const char *s, unsigned int *out)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(s, &end, 10);
	if (*s < '0' || *s > '9' || *end || errno || v > 1000)
		return complain("'%s' is not a number of windows", s);
	*out = (unsigned int)v;
	return 0;
}

static int parse_profile(struct history_options *o, const char *name)
{
	o->profile = name;
	if (!strcmp(name, "williams"))
		o->deadline = 1;
	else if (!strcmp(name, "glisse"))
		o->deadline = 3;
	else
		return complain("no profile '%s'; there are williams and glisse", name);
	return 0;
}

/* Return: 0, or an exit status and one. */
static int parse_one(const struct command *self, struct history_options *o, int c)
{
	if (result_option(&o->results, c, optarg))
		return 0;
	switch (c) {
	case OPT_FROM:
		o->from = optarg;
		break;
	case OPT_TO:
		o->to = optarg;
		break;
	case OPT_TAGS:
		o->tags = optarg;
		break;
	case OPT_RC:
		o->pre = true;
		break;
	case OPT_JSON:
		o->format = HISTORY_JSON;
		break;
	case OPT_CSV:
		o->format = HISTORY_CSV;
		break;
	case OPT_HTML:
		o->format = HISTORY_HTML;
		break;
	case OPT_PROFILE:
		return parse_profile(o, optarg) ? 1 + EXIT_BROKEN : 0;
	case OPT_DEADLINE:
		return parse_number(optarg, &o->deadline) ? 1 + EXIT_BROKEN : 0;
	case OPT_CANDIDATES:
		o->candidates = true;
		break;
	case OPT_UNCONSUMED:
		o->unconsumed = true;
		break;
	case OPT_SYMBOL:
		o->symbol = optarg;
		break;
	case OPT_PATH:
		o->path = optarg;
		break;
	case OPT_SUBSYSTEM:
		o->subsystem = optarg;
		break;
	case OPT_LICENCE:
		o->licence = optarg;
		if (strcasecmp(optarg, "gpl") && strcasecmp(optarg, "plain"))
			return 1 +
			       complain("no licence class '%s'; there are gpl and plain", optarg);
		break;
	case OPT_COMMITS:
		o->commits = true;
		break;
	case OPT_CACHE:
		o->cache = optarg;
		break;
	case OPT_NO_CACHE:
		o->cache = "";
		break;
	case OPT_STATS:
		o->stats = true;
		break;
	case 'h':
		return 1 + command_usage(self, help);
	case ':':
		return 1 + complain("history: %s needs an argument", "the last option");
	default:
		return 1 +
		       complain("history: an option is not known; see export-audit history --help");
	}
	return 0;
}

int history_parse(const struct command *self, int argc, char **argv, struct history_options *o)
{
	int c, stop = 0;

	opterr = 0;
	optind = 1;
	while (!stop && (c = getopt_long(argc, argv, ":h", long_options, NULL)) != -1)
		stop = parse_one(self, o, c);
	if (!stop && optind != argc - 1)
		stop = 1 +
		       complain("history: name one repository; see export-audit history --help");
	if (!stop && result_options_check(&o->results))
		stop = 1 + EXIT_BROKEN;
	return stop;
}
