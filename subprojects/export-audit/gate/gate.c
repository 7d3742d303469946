// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What a series changes; the rules in their order; the list of findings. */
#include "gate/gate.h"

#include "base/complain.h"
#include "base/grow.h"
#include "history/origin.h"
#include "patch/past.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int compare_changed(const void *a, const void *b)
{
	return strcmp(((const struct changed_file *)a)->path,
		      ((const struct changed_file *)b)->path);
}

static int add_deltas(struct gate *g, git_diff *diff)
{
	for (size_t i = 0; i < git_diff_num_deltas(diff); i++) {
		const git_diff_delta *d = git_diff_get_delta(diff, i);
		struct changed_file f = { 0 };

		if (grow_room(g->changed, g->n_changed, g->c_changed))
			return -ENOMEM;
		if (d->status != GIT_DELTA_ADDED)
			f.before = d->old_file.id;
		if (d->status != GIT_DELTA_DELETED)
			f.after = d->new_file.id;
		f.path = strdup(d->new_file.path);
		f.old_path = strdup(d->old_file.path);
		g->changed[g->n_changed++] = f;
		if (!f.path || !f.old_path)
			return -ENOMEM;
	}
	if (g->n_changed)
		qsort(g->changed, g->n_changed, sizeof(*g->changed), compare_changed);
	return 0;
}

static int list_changes(struct gate *g)
{
	struct repo *r = g->harvest->repo;
	git_tree *a = NULL, *b = NULL;
	git_diff *diff = NULL;
	git_diff_find_options find = GIT_DIFF_FIND_OPTIONS_INIT;
	int err;

	find.flags = GIT_DIFF_FIND_RENAMES;
	if (git_tree_lookup(&a, r->git, &g->series->before) ||
	    git_tree_lookup(&b, r->git, &g->series->after) ||
	    git_diff_tree_to_tree(&diff, r->git, a, b, NULL) || git_diff_find_similar(diff, &find))
		err = repo_complain(r, "its trees cannot be compared");
	else if ((err = add_deltas(g, diff)))
		complain("out of memory");
	git_diff_free(diff);
	git_tree_free(b);
	git_tree_free(a);
	return err;
}

const struct changed_file *gate_changed(const struct gate *g, const char *path)
{
	struct changed_file key = { .path = (char *)(uintptr_t)path };

	return g->n_changed ? bsearch(&key, g->changed, g->n_changed, sizeof(key), compare_changed)
			    : NULL;
}

const char *gate_subsystem(const struct gate *g, const char *path)
{
	return g->maint ? maint_subsystem(g->maint, path) : "";
}

bool gate_in_subsystem(const struct gate *g, const char *title)
{
	for (size_t i = 0; i < g->n_subsystems; i++)
		if (!strcmp(g->subsystems[i], title))
			return true;
	return false;
}

int gate_note_subsystem(struct gate *g, const char *path)
{
	const char *title = gate_subsystem(g, path);

	if (gate_in_subsystem(g, title))
		return 0;
	if (grow_room(g->subsystems, g->n_subsystems, g->c_subsystems)) {
		complain("out of memory");
		return -ENOMEM;
	}
	g->subsystems[g->n_subsystems++] = title;
	return 0;
}

int gate_find(struct gate *g, enum rule rule, enum severity severity, const char *symbol,
	      const char *file, uint32_t line, const char *format, ...)
{
	struct finding f = { .rule = rule, .severity = severity, .line = line };
	va_list ap;
	int n;

	va_start(ap, format);
	n = vasprintf(&f.text, format, ap);
	va_end(ap);
	f.symbol = strdup(symbol);
	f.file = strdup(file);
	if (n < 0 || !f.symbol || !f.file || grow_room(g->findings, g->n_findings, g->c_findings)) {
		complain("out of memory");
		free(f.file);
		free(f.symbol);
		if (n >= 0)
			free(f.text);
		return -ENOMEM;
	}
	g->findings[g->n_findings++] = f;
	g->errors += severity == SEVERITY_ERROR;
	return 0;
}

struct finding *gate_last(struct gate *g)
{
	return &g->findings[g->n_findings - 1];
}

static char *quote_patch(const struct patch *p)
{
	char *out;
	int width = strlen(p->id) == GIT_OID_HEXSZ ? 12 : -1;

	return asprintf(&out, "%.*s (\"%s\")", width, p->id, p->subject) < 0 ? NULL : out;
}

char *gate_added_by(struct gate *g, const char *path, const char *name)
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
		e->added_by = gate_added_by(g, e->path, s->name);
		if (gate_note_subsystem(g, e->path))
			return -ENOMEM;
	}
	return 0;
}

/* Releases that the base contains: all up to the newest one that is an ancestor of it. */
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
	err = list_changes(g);
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
