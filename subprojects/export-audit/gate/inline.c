// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Rule functionality: inline functions that a series adds to public headers. They need no export,
 * so only a caller shows that somebody wants them.
 *
 * A call counts in a source file, and in an inline function or a macro that is old or is called
 * itself. An inline function is not new if the tree had a function of that name, or if a file
 * defines a real one: it has moved, or it stands in for that one.
 */
#include "base/complain.h"
#include "base/grow.h"
#include "base/hmap.h"
#include "gate/changes.h"
#include "gate/gate.h"
#include "gate/offers.h"
#include "text/kind.h"
#include "text/source.h"

#include <errno.h>
#include <string.h>

struct added {
	const struct changed_file *file;
	const char *name;
	uint32_t line;
	bool old, used;
};

/* TO calls FROM: if TO is used, FROM is. */
struct edge {
	uint32_t from, to;
};

struct inlines {
	struct gate *g;
	struct hmap by_name;
	struct added *v;
	size_t n, cap;
	struct edge *edges;
	size_t n_edges, c_edges;
};

static const struct blob *facts_of(struct gate *g, const char *path, const git_oid *id)
{
	const struct blob *b;

	if (git_oid_is_zero(id) || blob_kind(path) == BLOB_SKIP ||
	    harvest_blob(g->harvest, path, id, &b))
		return NULL;
	return b;
}

static int add(struct inlines *in, const struct changed_file *c, const struct blob *b,
	       const struct blob_entity *e)
{
	uint32_t *slot = hmap_slot(&in->by_name, e->hash);

	if (!slot || grow_room(in->v, in->n, in->cap))
		return -ENOMEM;
	if (*slot != HMAP_NONE) /* another branch of a conditional */
		return 0;
	*slot = (uint32_t)in->n;
	in->v[in->n++] = (struct added){ c, blob_str(b, e->name_str), e->line, false, false };
	return 0;
}

static int list_inlines(struct inlines *in)
{
	struct gate *g = in->g;
	int err = 0;

	for (size_t i = 0; !err && i < g->n_changed; i++) {
		const struct changed_file *c = &g->changed[i];
		const struct blob *b =
			gate_is_public(c->path) ? facts_of(g, c->path, &c->after) : NULL;
		const struct blob_entity *e = b ? BLOB_ARRAY(b, blob_entity, entities) : NULL;

		for (uint32_t k = 0; b && !err && k < b->n_entities; k++)
			if (e[k].kind == ENTITY_INLINE)
				err = add(in, c, b, &e[k]);
	}
	return err;
}

static void know(struct inlines *in, uint64_t hash)
{
	uint32_t at = hmap_get(&in->by_name, hash);

	if (at != HMAP_NONE)
		in->v[at].old = true;
}

/* An added function is old if another entity or definition has its name. */
static void know_blob(struct inlines *in, const struct blob *b, bool entities)
{
	const struct blob_entity *e = BLOB_ARRAY(b, blob_entity, entities);
	const struct blob_def *d = BLOB_ARRAY(b, blob_def, defs);

	for (uint32_t i = 0; entities && i < b->n_entities; i++)
		know(in, e[i].hash);
	for (uint32_t i = 0; i < b->n_defs; i++)
		know(in, d[i].hash);
}

static void use(struct inlines *in, uint64_t hash)
{
	uint32_t at = hmap_get(&in->by_name, hash);

	if (at != HMAP_NONE)
		in->v[at].used = true;
}

/* An inline function or macro uses the functions that it names if it is old, or is used itself. */
static int use_entity(struct inlines *in, const struct blob *b, const struct blob_entity *e)
{
	const uint64_t *refs = blob_refs(b) + e->first_ref;
	uint32_t to = e->kind == ENTITY_INLINE ? hmap_get(&in->by_name, e->hash) : HMAP_NONE;

	for (uint32_t i = 0; i < e->n_refs; i++) {
		uint32_t from = hmap_get(&in->by_name, refs[i]);

		if (from == HMAP_NONE || from == to || refs[i] == e->hash)
			continue;
		if (to == HMAP_NONE) {
			in->v[from].used = true;
			continue;
		}
		if (grow_room(in->edges, in->n_edges, in->c_edges))
			return -ENOMEM;
		in->edges[in->n_edges++] = (struct edge){ from, to };
	}
	return 0;
}

static int look_at_tree(struct inlines *in)
{
	struct gate *g = in->g;
	int err = 0;

	for (uint32_t f = 0; !err && f < g->head.n; f++) {
		const struct source_file *file = &g->head.facts[f];
		const struct blob *b = file->blob;
		const struct blob_entity *e = BLOB_ARRAY(b, blob_entity, entities);

		know_blob(in, b, !gate_changed(g, file->path));
		for (uint32_t i = 0; i < b->n_tu_refs; i++)
			use(in, blob_refs(b)[i]);
		for (uint32_t i = 0; !err && i < b->n_entities; i++)
			err = use_entity(in, b, &e[i]);
	}
	for (size_t i = 0; !err && i < g->n_changed; i++) {
		const struct changed_file *c = &g->changed[i];
		const struct blob *b = facts_of(g, c->old_path, &c->before);

		if (b)
			know_blob(in, b, true);
	}
	return err;
}

static void follow(struct inlines *in)
{
	bool grown = true;

	while (grown) {
		grown = false;
		for (size_t i = 0; i < in->n_edges; i++) {
			struct added *from = &in->v[in->edges[i].from];
			const struct added *to = &in->v[in->edges[i].to];

			if (from->used || !(to->used || to->old))
				continue;
			from->used = true;
			grown = true;
		}
	}
}

static int report(struct gate *g, const struct added *a)
{
	int err;

	if (a->old || a->used)
		return 0;
	err = gate_note_subsystem(g, a->file->path);
	return err ? err
		   : gate_find(g, RULE_FUNCTIONALITY, SEVERITY_ERROR, a->name, a->file->path,
			       a->line,
			       "a new inline function of a public header, which nobody in the "
			       "series calls");
}

int gate_rule_inlines(struct gate *g)
{
	struct inlines in = { .g = g };
	int err = hmap_init(&in.by_name, 64);

	err = err ? err : list_inlines(&in);
	if (!err && in.n)
		err = look_at_tree(&in);
	if (err == -ENOMEM)
		complain("out of memory");
	follow(&in);
	for (size_t i = 0; !err && i < in.n; i++)
		err = report(g, &in.v[i]);
	hmap_fini(&in.by_name);
	free(in.v);
	free(in.edges);
	return err;
}
