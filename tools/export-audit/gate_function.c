// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Rule functionality: something new behind an export that was there before.
 *
 * What source tells: a name that the tree before did not have anywhere, that the series
 * puts both in a header and in a file with an old export, is a new flag, operation, member
 * or parameter of what that file offers.  It has a consumer when a file other than headers
 * and those of the exporter's own directory and name mentions it.
 */
#include "gate.h"

#include "command.h"
#include "grow.h"
#include "names.h"

#include <errno.h>
#include <string.h>

struct newcomer {
	char *name;
	uint64_t hash;
	const char *header;  /* changed file that has it */
	const char *offerer; /* changed file with an old export that has it, or NULL */
	bool old;            /* the tree before knew it */
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

/* Everything that a file mentions: its own references, those of its macros and inlines,
 * definitions. */
static bool mentions(const struct blob *b, uint64_t hash)
{
	const uint64_t *refs = blob_refs(b);
	const struct blob_entity *e = BLOB_ARRAY(b, blob_entity, entities);
	const struct blob_def *d = BLOB_ARRAY(b, blob_def, defs);

	for (uint32_t i = 0; i < b->n_refs; i++)
		if (refs[i] == hash)
			return true;
	for (uint32_t i = 0; i < b->n_entities; i++)
		if (e[i].hash == hash)
			return true;
	for (uint32_t i = 0; i < b->n_defs; i++)
		if (d[i].hash == hash)
			return true;
	return false;
}

static bool mentions_own(const struct blob *b, uint64_t hash)
{
	const uint64_t *refs = blob_refs(b);
	uint32_t lo = 0, hi = b->n_tu_refs;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (refs[mid] == hash)
			return true;
		if (refs[mid] < hash)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
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

/* Names that a changed header has now and did not have before. */
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

/* Does PATH export something that was exported before? */
static bool offers(const struct gate *g, const char *path)
{
	for (uint32_t i = 0; i < g->base->n; i++)
		if (summary_exports_in(g->base, &g->base->symbols[i], path))
			return true;
	return false;
}

static const struct blob *facts_of(struct gate *g, const char *path, const git_oid *id)
{
	const struct blob *b;

	if (git_oid_is_zero(id) || harvest_blob(g->harvest, path, id, &b))
		return NULL;
	return b;
}

static void look_at_changed(struct gate *g, const struct changed_file *c, struct newcomers *all)
{
	const struct blob *before = facts_of(g, c->old_path, &c->before);
	const struct blob *after = facts_of(g, c->path, &c->after);
	bool offerer = !is_header(c->path) && after && offers(g, c->old_path);

	for (size_t i = 0; i < all->n; i++) {
		struct newcomer *n = &all->v[i];

		if (before && mentions(before, n->hash))
			n->old = true;
		if (offerer && !n->offerer && mentions(after, n->hash))
			n->offerer = c->path;
	}
}

/* "mm/hmm" for mm/hmm.c: a file's own header and neighbours of that name do not consume. */
static bool same_stem(const char *a, const char *b)
{
	size_t n = strcspn(a, ".");

	return strcspn(b, ".") == n && !memcmp(a, b, n);
}

static void look_at_tree(struct gate *g, struct newcomers *all)
{
	for (uint32_t f = 0; f < g->head.n; f++) {
		const struct graph_file *file = &g->head.facts[f];
		bool changed = gate_changed(g, file->path);

		for (size_t i = 0; i < all->n; i++) {
			struct newcomer *n = &all->v[i];

			if (n->old || !n->offerer || is_header(file->path))
				continue;
			if (!changed) {
				if (mentions_own(file->blob, n->hash))
					n->old = true; /* no file that did not change can mention
							  news */
			} else if (!same_stem(file->path, n->offerer) &&
				   mentions(file->blob, n->hash)) {
				n->consumed = true;
				n->consumer = file->path;
			}
		}
	}
}

static int report(struct gate *g, const struct newcomer *n)
{
	int err;

	/* A new export is the business of the other rules. */
	if (n->old || !n->offerer || graph_find(g->head.graph, n->name))
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

int gate_rule_functionality(struct gate *g)
{
	struct newcomers all = { 0 };
	int err = 0;

	for (size_t i = 0; !err && i < g->n_changed; i++)
		if (is_header(g->changed[i].path) && blob_kind(g->changed[i].path) == BLOB_HEADER)
			err = add_header(g, &g->changed[i], &all);
	if (err == -ENOMEM)
		complain("out of memory");
	for (size_t i = 0; !err && all.n && i < g->n_changed; i++)
		look_at_changed(g, &g->changed[i], &all);
	if (!err && all.n)
		look_at_tree(g, &all);
	for (size_t i = 0; !err && i < all.n; i++)
		err = report(g, &all.v[i]);
	for (size_t i = 0; i < all.n; i++)
		free(all.v[i].name);
	free(all.v);
	return err;
}
