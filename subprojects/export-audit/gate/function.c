// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Rule functionality: something new behind an export that was there before.
 *
 * Source tells it so: the old tree had a name nowhere, and the series puts it both into a public
 * header and into a file with an old export. Then it is a new flag, value or macro that this file
 * offers. It has a consumer when another source file mentions it; headers, and files that have the
 * name of the exporting file, do not count. Parameters and members, whose names need not be new,
 * are in parameter.c and member.c.
 */
#include "base/complain.h"
#include "base/grow.h"
#include "gate/changes.h"
#include "gate/gate.h"
#include "gate/names.h"
#include "gate/offers.h"
#include "text/source.h"

#include <errno.h>
#include <string.h>

#define MAX_FILES 1000u /* of a series whose parameters and members are compared */

struct newcomer {
	char *name;
	uint64_t hash;
	const char *header;  /* changed file that has it */
	const char *offerer; /* changed file with an old export that has it, or NULL */
	bool old;            /* the tree before knew it */
	bool exports;        /* a macro: how something is exported */
	bool consumed;
	const char *consumer; /* changed by the series, or NULL */
};

struct newcomers {
	struct newcomer *v;
	size_t n, cap;
};

static bool is_header(const char *path)
{
	size_t len = strlen(path);

	return len > 2 && !strcmp(path + len - 2, ".h");
}

static int compare_newcomers(const void *a, const void *b)
{
	const struct newcomer *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* Sorted by hash, each once: the header that comes first in the series keeps it. */
static void sort_newcomers(struct newcomers *all)
{
	size_t n = 0;

	if (all->n)
		qsort(all->v, all->n, sizeof(*all->v), compare_newcomers);
	for (size_t i = 0; i < all->n; i++) {
		if (n && all->v[n - 1].hash == all->v[i].hash)
			free(all->v[i].name);
		else
			all->v[n++] = all->v[i];
	}
	all->n = n;
}

typedef void (*see_fn)(struct newcomer *n, const char *path);

static void see_hash(struct newcomers *all, uint64_t hash, see_fn see, const char *path)
{
	struct newcomer key = { .hash = hash }, *n;

	n = bsearch(&key, all->v, all->n, sizeof(key), compare_newcomers);
	if (n)
		see(n, path);
}

/*
 * Calls SEE for each newcomer that the file uses, has in a macro, or defines.
 */
static void see_blob(struct newcomers *all, const struct blob *b, see_fn see, const char *path)
{
	const uint64_t *refs = blob_refs(b);
	const struct blob_entity *e = BLOB_ARRAY(b, blob_entity, entities);
	const struct blob_def *d = BLOB_ARRAY(b, blob_def, defs);

	for (uint32_t i = 0; i < b->n_refs; i++)
		see_hash(all, refs[i], see, path);
	for (uint32_t i = 0; i < b->n_entities; i++)
		see_hash(all, e[i].hash, see, path);
	for (uint32_t i = 0; i < b->n_defs; i++)
		see_hash(all, d[i].hash, see, path);
}

static int read_names(struct gate *g, const git_oid *id, struct names *out)
{
	char *text;
	size_t len;
	int err;

	*out = (struct names){ 0 };
	if (git_oid_is_zero(id))
		return 0;
	err = repo_read(g->harvest->repo, id, &text, &len);
	if (err)
		return err;
	err = names_of(text, len, out);
	free(text);
	return err;
}

/* Adds the names that a changed header has now and did not have before. */
static int add_header(struct gate *g, const struct changed_file *c, struct newcomers *out)
{
	struct names before, after = { 0 };
	int err = read_names(g, &c->before, &before);

	if (!err)
		err = read_names(g, &c->after, &after);
	for (size_t i = 0; !err && i < after.n; i++) {
		struct newcomer n = { .header = c->path };

		if (names_have(&before, after.v[i]))
			continue;
		err = grow_room(out->v, out->n, out->cap);
		if (err)
			break;
		n.hash = blob_hash(after.v[i], strlen(after.v[i]));
		n.name = strdup(after.v[i]);
		if (!n.name)
			err = -ENOMEM;
		else
			out->v[out->n++] = n;
	}
	names_free(&before);
	names_free(&after);
	return err;
}

static const struct blob *facts_of(struct gate *g, const char *path, const git_oid *id)
{
	const struct blob *b;

	if (git_oid_is_zero(id) || harvest_blob(g->harvest, path, id, &b))
		return NULL;
	return b;
}

static void is_old(struct newcomer *n, const char *path)
{
	n->old = true;
}

static void is_offered(struct newcomer *n, const char *path)
{
	if (!n->offerer)
		n->offerer = path;
}

static void look_at_changed(struct gate *g, const struct changed_file *c, struct newcomers *all)
{
	const struct blob *before = facts_of(g, c->old_path, &c->before);
	const struct blob *after = facts_of(g, c->path, &c->after);

	if (before)
		see_blob(all, before, is_old, c->path);
	if (after && !is_header(c->path) && gate_offers(g, c->old_path))
		see_blob(all, after, is_offered, c->path);
}

static void is_consumed(struct newcomer *n, const char *path)
{
	if (!n->offerer || gate_same_stem(path, n->offerer))
		return;
	n->consumed = true;
	n->consumer = path;
}

/* A name in a file that did not change is not new. */
static void look_at_tree(struct gate *g, struct newcomers *all)
{
	for (uint32_t f = 0; f < g->head.n; f++) {
		const struct source_file *file = &g->head.facts[f];

		if (!gate_changed(g, file->path))
			see_blob(all, file->blob, is_old, file->path);
		else if (!is_header(file->path))
			see_blob(all, file->blob, is_consumed, file->path);
	}
}

static int report(struct gate *g, const struct newcomer *n)
{
	int err;

	/* Other rules judge new exports. */
	if (n->old || n->exports || !n->offerer || graph_find(g->head.graph, n->name))
		return 0;
	err = gate_note_subsystem(g, n->offerer);
	if (!err && n->consumed)
		return gate_rule_ack(g, n->name, n->header, 0, n->consumer);
	if (!err)
		err = gate_find(g, RULE_FUNCTIONALITY, SEVERITY_ERROR, n->name, n->header, 0,
				"new functionality behind the exports of %s without a consumer in "
				"the series",
				n->offerer);
	return err;
}

static void is_export(struct newcomer *n, const char *path)
{
	n->exports = true;
}

static int find_exporting(struct gate *g, struct newcomers *all)
{
	uint64_t *hashes;
	size_t n;
	int err = gate_exporting_macros(g, &hashes, &n);

	if (err) {
		complain("out of memory");
		return err;
	}
	for (size_t i = 0; i < n; i++)
		see_hash(all, hashes[i], is_export, "");
	free(hashes);
	return 0;
}

int gate_rule_functionality(struct gate *g)
{
	struct newcomers all = { 0 };
	int err = 0;

	for (size_t i = 0; !err && i < g->n_changed; i++)
		if (gate_is_public(g->changed[i].path))
			err = add_header(g, &g->changed[i], &all);
	if (err == -ENOMEM)
		complain("out of memory");
	sort_newcomers(&all);
	for (size_t i = 0; !err && all.n && i < g->n_changed; i++)
		look_at_changed(g, &g->changed[i], &all);
	if (!err && all.n) {
		look_at_tree(g, &all);
		err = find_exporting(g, &all);
	}
	for (size_t i = 0; !err && i < all.n; i++)
		err = report(g, &all.v[i]);
	for (size_t i = 0; i < all.n; i++)
		free(all.v[i].name);
	free(all.v);
	err = err ? err : gate_rule_inlines(g);
	if (!err && g->n_changed > MAX_FILES)
		return gate_find(g, RULE_FUNCTIONALITY, SEVERITY_NOTE, "", "", 0,
				 "parameters and members not looked at: the series changes more "
				 "than %u files",
				 MAX_FILES);
	if (!err)
		err = gate_rule_parameters(g);
	return err ? err : gate_rule_members(g);
}
