// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Rules stale and overdue: old exports of the same subsystems that still lack a consumer. */
#include "gate/changes.h"
#include "gate/gate.h"
#include "history/origin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COMMITS 20 /* look-ups of the commit to revert in one run, a second each at worst */

/* The releases in all of which a symbol must lack a consumer, for one deadline. */
struct window {
	const struct summary **v;
	size_t n;
};

/*
 * A series goes into the window after the last release. So an export that was first released in R
 * has had more than N windows since then if at least N lie between R and the last release.
 */
static int load_window(struct gate *g, unsigned int deadline, struct window *w)
{
	const struct releases *r = &g->releases;
	size_t first = r->n;
	int err = 0;

	*w = (struct window){ 0 };
	while (first && r->v[r->n - 1].window - r->v[first - 1].window < deadline)
		first--;
	if (!first)
		return 0; /* the history is too short for anything to be late */
	first--;
	w->v = calloc(r->n - first, sizeof(*w->v));
	if (!w->v)
		return -ENOMEM;
	for (size_t i = first; !err && i < r->n; i++)
		err = harvest_summary(g->harvest, &r->v[i].tree, &w->v[w->n++]);
	if (err)
		free(w->v);
	return err;
}

static bool was_idle(const struct window *w, const char *name)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct summary_symbol *s = summary_find(w->v[i], name);

		if (!s || s->verdict != VERDICT_UNCONSUMED)
			return false;
	}
	return w->n;
}

static char *commit_to_revert(struct gate *g, const char *path, const char *name, size_t *budget)
{
	git_oid commit;

	if (!*budget)
		return NULL;
	--*budget;
	if (origin_find_since(g->harvest, g->releases.v, g->releases.n, &g->series->base, path,
			      name, &commit))
		return NULL;
	return origin_quote(g->harvest->repo, &commit);
}

static bool is_reported(const struct gate *g, const char *name)
{
	for (size_t i = 0; i < g->n_findings; i++)
		if (g->findings[i].rule == RULE_STALE && !strcmp(g->findings[i].symbol, name))
			return true;
	return false;
}

/* Is the rule about this symbol? Then fills *PATH and *LINE. */
static bool idle_here(const struct gate *g, const struct graph_symbol *s, const struct window *w,
		      const char **path, uint32_t *line)
{
	if (s->verdict != VERDICT_UNCONSUMED || !s->n_sites || !was_idle(w, s->name))
		return false;
	*path = g->head.facts[s->sites[0].file].path;
	*line = s->sites[0].line;
	return true;
}

static int rule_over(struct gate *g, enum rule rule, enum severity severity, const struct window *w,
		     size_t *budget)
{
	unsigned int n = g->rules->deadline[rule];

	for (uint32_t i = 0; i < g->head.graph->n_symbols; i++) {
		const struct graph_symbol *s = &g->head.graph->symbols[i];
		const char *path, *subsystem;
		uint32_t line;
		int err;

		if (!idle_here(g, s, w, &path, &line) || is_reported(g, s->name))
			continue;
		subsystem = gate_subsystem(g, path);
		if (!gate_in_subsystem(g, subsystem))
			continue;
		err = gate_find(g, rule, severity, s->name, path, line,
				rule == RULE_STALE ? "something new in %s while this export has "
						     "had no consumer for more than %u window%s"
						   : "in %s, without a consumer for more than %u "
						     "window%s: a candidate for a revert",
				*subsystem ? subsystem : "the same tree", n, n == 1 ? "" : "s");
		if (err)
			return err;
		gate_last(g)->revert = commit_to_revert(g, path, s->name, budget);
	}
	return 0;
}

static int run(struct gate *g, enum rule rule, enum severity severity, size_t *budget)
{
	struct window w;
	int err;

	if (!g->releases.n)
		return gate_find(g, rule, SEVERITY_NOTE, "", "", 0,
				 "not judged: no release tag (%s) is part of the base",
				 g->tags ? g->tags : "vX.Y");
	err = load_window(g, g->rules->deadline[rule], &w);
	if (!err) {
		err = rule_over(g, rule, severity, &w, budget);
		free(w.v);
	}
	return err;
}

/* Advice is about each subsystem that has an exporting file which the series changes. */
static int widen(struct gate *g)
{
	for (uint32_t i = 0; i < g->head.graph->n_symbols; i++) {
		const struct graph_symbol *s = &g->head.graph->symbols[i];
		const char *path = s->n_sites ? g->head.facts[s->sites[0].file].path : NULL;
		int err = path && gate_changed(g, path) ? gate_note_subsystem(g, path) : 0;

		if (err)
			return err;
	}
	return 0;
}

int gate_rule_stale(struct gate *g)
{
	size_t budget = MAX_COMMITS;
	int err = 0;

	if (g->rules->on[RULE_STALE] && g->n_subsystems)
		err = run(g, RULE_STALE, SEVERITY_ERROR, &budget);
	if (!err && g->rules->on[RULE_OVERDUE]) {
		err = widen(g);
		if (!err && g->n_subsystems)
			err = run(g, RULE_OVERDUE, SEVERITY_NOTE, &budget);
	}
	return err;
}
