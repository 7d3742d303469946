// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* export-audit history: when each symbol was exported, consumed and removed. */
#include "history/cmd.h"
#include "base/complain.h"
#include "base/path.h"
#include "harvest/harvest.h"
#include "history/history.h"
#include "history/options.h"
#include "history/origin.h"
#include "maintainers/maintainers.h"
#include "text/export.h"

#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* Did the user ask about this symbol? */
static bool asked_for(const struct history_options *o, const struct history_row *row)
{
	const struct story *s = row->story;

	return (!o->symbol || !fnmatch(o->symbol, s->name, 0)) &&
	       (!o->path || path_matches(o->path, s->path)) &&
	       (!o->subsystem || strcasestr(row->subsystem, o->subsystem));
}

static bool selected(const struct history_options *o, const struct history *h,
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
	const struct history_options *options;
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
	const struct history_options *o = t->options;
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

/*
 * A filter that no symbol ever matched was mistyped: an error.  Return: 0, or an exit status after
 * a complaint.
 */
static int check_filters(struct telling *t, struct maint *m)
{
	const struct history_options *o = t->options;

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
	const struct history_options *o = t->options;
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

static int print_rows(struct harvest *hv, const struct history *h, const struct history_options *o)
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

static int tell(struct harvest *hv, const struct releases *v, const struct history_options *o)
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

static int run(struct repo *repo, const struct history_options *o)
{
	struct releases v = { 0 };
	struct harvest hv;
	int status = EXIT_BROKEN;

	if (repo_releases(repo, o->tags, o->pre, &v))
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
	struct history_options o = { .profile = "williams", .deadline = 1 };
	struct repo repo;
	int status = history_parse(self, argc, argv, &o);

	if (status)
		return status - 1;
	if (repo_open(argv[optind], &repo))
		return EXIT_BROKEN;
	status = repo_want_history(&repo) ? EXIT_BROKEN : run(&repo, &o);
	repo_close(&repo);
	return status;
}
