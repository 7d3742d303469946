// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* export-audit history: when each symbol was exported, consumed and removed. */
#include "history/cmd.h"
#include "base/complain.h"
#include "harvest/harvest.h"
#include "history/history.h"
#include "history/out.h"
#include "maintainers/maintainers.h"
#include "history/origin.h"
#include "scan/report.h"
#include "report/results.h"
#include "base/path.h"
#include "text/export.h"

#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

struct options {
	const char *from, *to, *cache, *symbol, *path, *subsystem, *licence, *tags;
	unsigned int deadline;
	const char *profile;
	struct result_options results;
	bool rc, candidates, unconsumed, commits, stats;
	enum history_format format;
};

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

static int parse_profile(struct options *o, const char *name)
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
static int parse_one(const struct command *self, struct options *o, int c)
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
		o->rc = true;
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

static int parse(const struct command *self, int argc, char **argv, struct options *o)
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

/* What the user asked about, whatever became of it. */
static bool asked_for(const struct options *o, const struct history_row *row)
{
	const struct story *s = row->story;

	return (!o->symbol || !fnmatch(o->symbol, s->name, 0)) &&
	       (!o->path || path_matches(o->path, s->path)) &&
	       (!o->subsystem || strcasestr(row->subsystem, o->subsystem));
}

static bool selected(const struct options *o, const struct history *h,
		     const struct history_row *row)
{
	const struct story *s = row->story;

	if (o->candidates && !s->candidate)
		return false;
	if (o->unconsumed && (s->removed != NO_RELEASE || s->last->verdict != VERDICT_UNCONSUMED))
		return false;
	if (!asked_for(o, row))
		return false;
	return !o->licence || !strcasecmp(o->licence, licence_name(s->last->licence));
}

/* The MAINTAINERS of the last release; NULL when it has none that can be read. */
static struct maint *read_maintainers(struct repo *r, const git_oid *tree)
{
	struct maint *m = NULL;
	git_oid id;
	char *text;
	size_t len;

	if (repo_lookup(r, tree, "MAINTAINERS", &id) || repo_read(r, &id, &text, &len))
		return NULL;
	if (maint_parse(text, len, &m))
		m = NULL;
	free(text);
	return m;
}

static char *origin(struct harvest *hv, const struct history *h, const struct story *s)
{
	const struct summary *first = h->summaries[s->exported];
	const struct summary_symbol *sym = summary_find(first, s->name);
	git_oid commit;

	if (s->exported_earlier ||
	    origin_find(hv, &h->releases[s->exported].commit, summary_str(first, sym->paths_str),
			s->name, &commit))
		return NULL;
	return origin_quote(hv->repo, &commit);
}

static int add_candidate(struct results *r, const struct history_row *row)
{
	const struct story *s = row->story;
	char text[256];

	snprintf(text, sizeof(text),
		 "without a consumer for %u window%s more than it had time: a candidate for a "
		 "revert",
		 s->overdue, s->overdue == 1 ? "" : "s");
	return results_add(r, "overdue", true, s->name, s->path, s->last->line, text);
}

struct telling {
	struct harvest *harvest;
	const struct history *history;
	const struct options *options;
	struct history_printer printer;
	struct results candidates;
	bool any; /* a story that was asked for */
};

typedef int (*see_story)(struct telling *t, struct history_row *row);

/* Calls SEE for each story, with its subsystem.  Return: 0, or what SEE returned. */
static int each_story(struct telling *t, struct maint *m, see_story see)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < t->history->n_names; i++) {
		struct history_row row = { .subsystem = "" };
		struct story s;

		err = history_story(t->history, i, t->options->deadline, &s);
		if (err)
			break;
		row.story = &s;
		if (m)
			row.subsystem = maint_subsystem(m, s.path);
		err = see(t, &row);
		story_free(&s);
	}
	return err;
}

static int see_any(struct telling *t, struct history_row *row)
{
	t->any |= asked_for(t->options, row);
	return 0;
}

static int see_row(struct telling *t, struct history_row *row)
{
	const struct options *o = t->options;
	int err = 0;

	if (!selected(o, t->history, row))
		return 0;
	if (row->story->candidate)
		err = add_candidate(&t->candidates, row);
	if (o->commits && row->story->candidate)
		row->commit = origin(t->harvest, t->history, row->story);
	if (!err && !results_only(&o->results))
		err = history_print(&t->printer, row);
	free(row->commit);
	return err;
}

/* A filter that was mistyped is no clean bill.  Return: 0, or an exit status after a complaint. */
static int check_filters(struct telling *t, struct maint *m)
{
	const struct options *o = t->options;

	if (!o->symbol && !o->path && (!o->subsystem || maint_knows(m, o->subsystem)))
		return 0;
	if (each_story(t, m, see_any))
		return complain("out of memory");
	return t->any ? 0
		      : complain("%s never exported anything that matches --symbol, --path and "
				 "--subsystem as they are given",
				 t->harvest->repo->name);
}

static int finish_rows(struct telling *t, int err)
{
	const struct options *o = t->options;
	int status = EXIT_BROKEN;

	if (err)
		return complain("out of memory");
	if (!results_compare(&t->candidates, &o->results) &&
	    !results_write(&t->candidates, &o->results, NULL)) {
		status = results_news(&t->candidates) ? EXIT_FINDINGS : EXIT_CLEAN;
		if (fflush(stdout) || ferror(stdout))
			status = complain("the output could not be written");
	}
	return status;
}

static int print_rows(struct harvest *hv, const struct history *h, const struct options *o)
{
	struct maint *m = read_maintainers(hv->repo, &h->releases[h->n - 1].tree);
	struct telling t = { .harvest = hv,
			     .history = h,
			     .options = o,
			     .printer = { .format = o->format,
					  .history = h,
					  .profile = o->profile,
					  .deadline = o->deadline,
					  .out = stdout } };
	int status = check_filters(&t, m), err;

	if (!status) {
		if (!results_only(&o->results))
			history_print_start(&t.printer);
		err = each_story(&t, m, see_row);
		if (!results_only(&o->results))
			history_print_end(&t.printer);
		status = finish_rows(&t, err);
	}
	results_free(&t.candidates);
	maint_free(m);
	return status;
}

static int summarize(struct harvest *hv, const struct releases *v, const struct summary **out)
{
	const git_oid **trees = calloc(v->n, sizeof(*trees));
	int err;

	if (!trees)
		return complain("out of memory");
	for (size_t i = 0; i < v->n; i++)
		trees[i] = &v->v[i].tree;
	err = harvest_summaries(hv, trees, v->n, out);
	free(trees);
	return err;
}

static int tell(struct harvest *hv, const struct releases *v, const struct options *o)
{
	const struct summary **summaries = calloc(v->n, sizeof(*summaries));
	struct history h;
	int status = EXIT_BROKEN;

	if (!summaries)
		return complain("out of memory");
	if (!summarize(hv, v, summaries)) {
		if (history_new(v->v, summaries, (uint32_t)v->n, &h)) {
			complain("out of memory");
		} else {
			status = print_rows(hv, &h, o);
			history_free(&h);
		}
	}
	if (o->stats)
		fprintf(stderr, "export-audit: %llu blobs read, %llu trees resolved\n",
			(unsigned long long)hv->blobs_read, (unsigned long long)hv->trees_resolved);
	free(summaries);
	return status;
}

static int run(struct repo *repo, const struct options *o)
{
	struct releases v = { 0 };
	struct harvest hv;
	int status = EXIT_BROKEN;

	if (repo_releases(repo, o->tags, o->rc, &v))
		return EXIT_BROKEN;
	if (releases_limit(repo, &v, o->from, o->to))
		goto out;
	if (!v.n) {
		complain("%s has no release tag (%s)", repo->name, o->tags ? o->tags : "vX.Y");
		goto out;
	}
	if (harvest_open(&hv, repo, o->cache))
		goto out;
	status = tell(&hv, &v, o);
	harvest_close(&hv);
out:
	releases_free(&v);
	return status;
}

int cmd_history(const struct command *self, int argc, char **argv)
{
	struct options o = { .profile = "williams", .deadline = 1 };
	struct repo repo;
	int status = parse(self, argc, argv, &o);

	if (status)
		return status - 1;
	if (repo_open(argv[optind], &repo))
		return EXIT_BROKEN;
	status = repo_want_history(&repo) ? EXIT_BROKEN : run(&repo, &o);
	repo_close(&repo);
	return status;
}
