// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* export-audit scan: one kernel source tree on disk. */
#include "scan/cmd.h"
#include "base/complain.h"
#include "scan/news.h"
#include "scan/tree.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define OTHERS 16

static const char options[] =
	"Which trees:\n"
	"  --tree=TREE         instead of the argument\n"
	"  --with=DIR          modules of another tree, that may consume and export; may be "
	"repeated\n"
	"Which symbols:\n"
	"  --path=PATH         exported below PATH, or by files that match a pattern\n"
	"  --subsystem=TEXT    whose section title in MAINTAINERS contains TEXT\n"
	"  --symbol=PATTERN    whose name matches, with * and ?\n"
	"  --licence=gpl|plain\n"
	"  --verdict=consumed|unconsumed|undecided\n"
	"What counts:\n"
	"  --modular           only consumers that can be modules; without it code that is always\n"
	"                      built in counts, too\n"
	"Output:\n"
	"  --consumers         in the table, list the files below each symbol\n"
	"  --summary           totals only\n"
	"  --csv, --json, --html\n"
	"  --gcc               one line for each unconsumed symbol: file:line: error: ...\n"
	"  --sarif=FILE        write SARIF about the unconsumed ones there too\n"
	"What is news:\n"
	"  --baseline=FILE     unconsumed symbols that it lists are known\n"
	"  --write-baseline    write that file with the unconsumed symbols of now\n"
	"  --since=TAG         what was unconsumed in TAG is known; TREE is a git work tree\n"
	"Others:\n"
	"  --check             exit with 1 if one of the symbols is unconsumed, and not known\n"
	"  --threads=N         for reading; default 2\n"
	"  --help\n";

enum form { FORM_TABLE, FORM_SUMMARY, FORM_CSV, FORM_JSON, FORM_HTML };

struct request {
	struct filter filter;
	enum form form;
	bool consumers, check, modular, help;
	unsigned int threads;
	const char *root, *since, *others[OTHERS];
	size_t n_others;
	struct result_options results;
};

static int one_of(const char *value, const char *const *names, int n)
{
	for (int i = 0; i < n; i++)
		if (!strcasecmp(value, names[i]))
			return i;
	return -1;
}

static int choose(struct request *q, int option, const char *value)
{
	static const char *const licences[] = { "plain", "gpl" };
	static const char *const verdicts[] = { "consumed", "unconsumed", "undecided" };
	char *end;
	unsigned long n;

	switch (option) {
	case 'l':
		q->filter.licence = one_of(value, licences, 2);
		return q->filter.licence < 0
			       ? complain("--licence is gpl or plain, not '%s'", value)
			       : 0;
	case 'v':
		q->filter.verdict = one_of(value, verdicts, 3);
		return q->filter.verdict < 0 ? complain("no verdict '%s'", value) : 0;
	case 't':
		n = strtoul(value, &end, 10);
		if (!*value || *end || n < 1 || n > 16)
			return complain("--threads is a number from 1 to 16, not '%s'", value);
		q->threads = (unsigned int)n;
		return 0;
	case 'T':
		q->root = value;
		break;
	case 'W':
		if (q->n_others == OTHERS)
			return complain("--with can be given %d times", OTHERS);
		q->others[q->n_others++] = value;
		break;
	case 'i':
		q->since = value;
		break;
	}
	return 0;
}

static const struct option longs[] = {
	{ "path", 1, NULL, 'p' },      { "subsystem", 1, NULL, 's' }, { "symbol", 1, NULL, 'y' },
	{ "licence", 1, NULL, 'l' },   { "license", 1, NULL, 'l' },   { "verdict", 1, NULL, 'v' },
	{ "consumers", 0, NULL, 'c' }, { "summary", 0, NULL, 'S' },   { "csv", 0, NULL, 'C' },
	{ "json", 0, NULL, 'j' },      { "html", 0, NULL, 'H' },      { "check", 0, NULL, 'k' },
	{ "tree", 1, NULL, 'T' },      { "with", 1, NULL, 'W' },

	{ "since", 1, NULL, 'i' },     { "modular", 0, NULL, 'm' },   RESULT_OPTIONS,
	{ "threads", 1, NULL, 't' },   { "help", 0, NULL, 'h' },      { NULL, 0, NULL, 0 },
};

static int parse(int argc, char **argv, struct request *q)
{
	int c, err = 0;

	*q = (struct request){ .filter = { .licence = -1, .verdict = -1 }, .threads = 2 };
	opterr = 0;
	optind = 1;
	while (!err && (c = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
		switch (c) {
		case 'p':
			q->filter.path = optarg;
			break;
		case 's':
			q->filter.subsystem = optarg;
			break;
		case 'y':
			q->filter.symbol = optarg;
			break;
		case 'c':
			q->consumers = true;
			break;
		case 'S':
			q->form = FORM_SUMMARY;
			break;
		case 'C':
			q->form = FORM_CSV;
			break;
		case 'j':
			q->form = FORM_JSON;
			break;
		case 'H':
			q->form = FORM_HTML;
			break;
		case 'k':
			q->check = true;
			break;
		case 'm':
			q->modular = true;
			break;
		case 'h':
			q->help = true;
			return 0;
		case ':':
			return complain("%s needs a value", argv[optind - 1]);
		case '?':
			return complain("no option '%s'; see export-audit scan --help",
					argv[optind - 1]);
		default:
			err = result_option(&q->results, c, optarg) ? 0 : choose(q, c, optarg);
		}
	}
	if (err)
		return err;
	if (optind + !q->root != argc)
		return complain("scan wants one source tree, not %d", argc - optind + !!q->root);
	if (!q->root)
		q->root = argv[optind];
	return result_options_check(&q->results);
}

static int write_table(const struct report *r, const struct request *q)
{
	if (results_only(&q->results))
		return 0;
	return q->form == FORM_CSV       ? report_csv(r, stdout)
	       : q->form == FORM_JSON    ? report_json(r, stdout)
	       : q->form == FORM_HTML    ? report_html(r, stdout)
	       : q->form == FORM_SUMMARY ? report_summary(r, stdout)
					 : report_table(r, q->consumers, stdout);
}

static int write_out(const struct report *r, const struct request *q)
{
	struct results found;
	int status = EXIT_BROKEN;

	if (!news_results(r, &found) &&
	    (!q->since || !news_since(q->root, q->since, q->modular, &found)) &&
	    !results_compare(&found, &q->results) && !results_write(&found, &q->results, q->root)) {
		if (write_table(r, q) || fflush(stdout))
			complain("cannot write the result: %s", strerror(EIO));
		else
			status = q->check && results_news(&found) ? EXIT_FINDINGS : EXIT_CLEAN;
	}
	results_free(&found);
	return status;
}

static int maintainers(const char *root, struct maint **out)
{
	char path[4096];

	if ((size_t)snprintf(path, sizeof(path), "%s/MAINTAINERS", root) >= sizeof(path))
		return -ENAMETOOLONG;
	return maint_read(path, out);
}

static int scan(const struct request *q)
{
	struct tree *t = NULL;
	struct graph *g = NULL;
	struct maint *m = NULL;
	struct report r = { 0 };
	const char *failed;
	int err = tree_scan(q->root, q->others, q->n_others, q->threads, &t, &failed);
	int status = EXIT_BROKEN;

	if (err == -EINVAL)
		return complain(
			"%s is not the source of a kernel or of modules: it has no Makefile",
			failed);
	if (err == -EEXIST)
		return complain("%s: another tree has the same name", failed);
	if (err)
		return complain("cannot read %s: %s", failed, strerror(-err));
	if (t->n_unreadable)
		complain("%u files or folders of %s could not be read and are left out",
			 t->n_unreadable, q->root);
	maintainers(q->root, &m); /* without it, subsystems are empty */
	err = graph_resolve(t->files, t->n_files, q->threads, &g);
	if (!err && g->n_cuts)
		complain("the expansion of macros was cut short %u times, first in %s:%u: exports "
			 "may be missing",
			 g->n_cuts, t->files[g->cuts[0].file].path, g->cuts[0].line);
	if (!err && q->modular)
		graph_modular(g);
	if (!err)
		err = report_build(g, t->files, m, &q->filter, q->root, &r);
	if (err)
		complain("%s: %s", q->root, strerror(-err));
	else if (!news_check_filter(&r, t->files, t->n_files, m, &q->filter))
		status = write_out(&r, q);
	report_fini(&r);
	graph_free(g);
	maint_free(m);
	tree_free(t);
	return status;
}

int cmd_scan(const struct command *self, int argc, char **argv)
{
	struct request q;
	int err = parse(argc, argv, &q);

	if (err)
		return err;
	return q.help ? command_usage(self, options) : scan(&q);
}
