// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Reads both trees, then applies the rules in their order. */
#include "gate/run.h"
#include "base/complain.h"
#include "base/grow.h"
#include "gate/changes.h"
#include "gate/shape.h"
#include "history/origin.h"
#include "patch/past.h"

#include <stdio.h>
#include <string.h>

static char *quote_patch(const struct patch *p)
{
	char *out;
	int width = strlen(p->id) == GIT_OID_HEXSZ ? 12 : -1;

	return asprintf(&out, "%.*s (\"%s\")", width, p->id, p->subject) < 0 ? NULL : out;
}

/* The patch that adds NAME's export to PATH, quoted and malloc()ed, or NULL. */
static char *added_by(struct gate *g, const char *path, const char *name)
{
	for (size_t i = 0; i < g->series->n; i++) {
		const struct patch *p = &g->series->v[i];

		if (git_oid_equal(&p->before, &p->after))
			continue;
		if (origin_exports(g->harvest, &p->after, path, name) == 1 &&
		    origin_exports(g->harvest, &p->before, path, name) == 0)
			return quote_patch(p);
	}
	return NULL;
}

static int list_exports(struct gate *g)
{
	for (uint32_t i = 0; i < g->head.graph->n_symbols; i++) {
		const struct graph_symbol *s = &g->head.graph->symbols[i];
		struct new_export *e;

		if (summary_find(g->base, s->name) || !s->n_sites)
			continue;
		if (grow_room(g->exports, g->n_exports, g->c_exports)) {
			complain("out of memory");
			return -ENOMEM;
		}
		e = &g->exports[g->n_exports++];
		*e = (struct new_export){ .symbol = s, .line = s->sites[0].line };
		e->path = g->head.facts[s->sites[0].file].path;
		e->subsystem = gate_subsystem(g, e->path);
		e->added_by = added_by(g, e->path, s->name);
		if (gate_note_subsystem(g, e->path))
			return -ENOMEM;
	}
	return 0;
}

/* Lists the releases that the base contains: up to the newest one that is an ancestor of it. */
static int list_releases(struct gate *g)
{
	struct repo *r = g->harvest->repo;
	int err = repo_releases(r, g->tags, false, &g->releases);

	while (!err && g->releases.n) {
		struct release *last = &g->releases.v[g->releases.n - 1];
		int is = past_contains(r, &g->series->base, &last->commit);

		if (is < 0)
			err = is;
		if (is)
			break;
		free(last->tag);
		free(last->alias);
		g->releases.n--;
	}
	return err;
}

static int read_maintainers(struct gate *g)
{
	git_oid id;
	char *text;
	size_t len;
	int err = repo_lookup(g->harvest->repo, &g->series->after, "MAINTAINERS", &id);

	if (err)
		return err == -ENOENT ? 0 : err;
	err = repo_read(g->harvest->repo, &id, &text, &len);
	if (err)
		return err;
	err = maint_parse(text, len, &g->maint);
	free(text);
	if (err == -ENOMEM)
		complain("out of memory");
	return err == -ENOMEM ? err : 0;
}

int gate_run(struct gate *g, struct harvest *h, const struct series *series,
	     const struct rules *rules, const char *tags)
{
	int err;

	*g = (struct gate){ .harvest = h, .series = series, .rules = rules, .tags = tags };
	err = gate_list_changes(g);
	if (!err)
		err = harvest_summary(h, &series->before, &g->base);
	if (!err)
		err = harvest_tree(h, &series->after, &g->head);
	if (!err)
		err = read_maintainers(g);
	if (!err)
		err = list_releases(g);
	if (!err)
		err = list_exports(g);
	if (!err)
		err = gate_rule_exports(g);
	if (!err && rules->on[RULE_FUNCTIONALITY])
		err = gate_rule_functionality(g);
	if (!err)
		err = gate_rule_lost(g);
	if (!err)
		err = gate_rule_stale(g);
	return err;
}

void gate_close(struct gate *g)
{
	for (size_t i = 0; i < g->n_changed; i++) {
		free(g->changed[i].path);
		free(g->changed[i].old_path);
		shape_free(&g->changed[i].was);
		shape_free(&g->changed[i].is);
	}
	for (size_t i = 0; i < g->n_exports; i++)
		free(g->exports[i].added_by);
	for (size_t i = 0; i < g->n_findings; i++) {
		struct finding *f = &g->findings[i];

		free(f->symbol);
		free(f->file);
		free(f->text);
		free(f->added_by);
		free(f->revert);
	}
	free(g->changed);
	free(g->exports);
	free(g->subsystems);
	free(g->findings);
	releases_free(&g->releases);
	maint_free(g->maint);
	harvested_free(&g->head);
}
