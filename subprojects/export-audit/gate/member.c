// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Rule functionality: a new member of a structure in a public header, where an old export takes
 * that structure.
 *
 * The exporter may read the member (it calls an operation, it heeds a flag) or write it (it hands
 * out a result); a consumer does the other. A member that the exporter both reads and writes is
 * its private one. A consumer is another file of the series that names the member more often than
 * before.
 */
#include "gate/gate.h"
#include "gate/offers.h"
#include "text/args.h"
#include "text/kind.h"

#include <stdio.h>
#include <string.h>

struct member {
	struct arg tag, name;
	const char *header;
	const char *offerer, *consumer; /* or NULL */
};

static bool has_member(const struct arg *body, const struct arg *name)
{
	struct arg other;
	size_t at = 0;

	while (shape_member(body, &at, &other))
		if (other.len == name->len && !memcmp(other.s, name->s, name->len))
			return true;
	return false;
}

static bool find_struct(const struct shape *s, const struct arg *tag, struct arg *body)
{
	struct arg other;
	size_t at = 0;

	while (shape_struct(s, &at, &other, body))
		if (other.len == tag->len && !memcmp(other.s, tag->s, tag->len))
			return true;
	return false;
}

/* Does an old export of the file have a parameter of this structure, or a pointer to one? */
static bool takes(const struct gate *g, const struct changed_file *c, const struct shape *code,
		  const struct arg *tag)
{
	struct arg args[SHAPE_ARGS];
	size_t n;

	for (uint32_t i = 0; i < g->base->n; i++) {
		const struct summary_symbol *s = &g->base->symbols[i];

		if (!summary_exports_in(g->base, s, c->old_path) ||
		    !shape_parameters(code, summary_str(g->base, s->name_str), args, &n))
			continue;
		for (size_t k = 0; k < n; k++)
			if (shape_has(&args[k], "struct", 6) &&
			    shape_has(&args[k], tag->s, tag->len))
				return true;
	}
	return false;
}

static void look_at_file(const struct gate *g, const struct changed_file *c, struct member *m)
{
	struct access was, is;

	shape_access(&c->was, &m->name, &was);
	shape_access(&c->is, &m->name, &is);
	if (is.reads + is.writes <= was.reads + was.writes)
		return;
	/* if the file knew a member of that name before, it may be another structure's */
	if (!m->offerer && !was.reads && !was.writes && !is.reads != !is.writes &&
	    blob_kind(c->path) == BLOB_C && gate_offers(g, c->old_path) &&
	    takes(g, c, &c->is, &m->tag))
		m->offerer = c->path;
	else if (!m->consumer && !gate_same_stem(c->path, m->header))
		m->consumer = c->path;
}

static int look_at_changed(struct gate *g, struct member *m)
{
	int err = 0;

	for (size_t i = 0; !err && i < g->n_changed; i++) {
		struct changed_file *c = &g->changed[i];
		enum blob_kind kind = blob_kind(c->path);

		if (kind != BLOB_C && kind != BLOB_HEADER)
			continue;
		err = gate_shapes(g, c);
		if (!err)
			look_at_file(g, c, m);
	}
	return err;
}

static int report(struct gate *g, const struct member *m)
{
	char name[256];
	int err;

	if (!m->offerer)
		return 0;
	snprintf(name, sizeof(name), "%.*s.%.*s", (int)m->tag.len, m->tag.s, (int)m->name.len,
		 m->name.s);
	err = gate_note_subsystem(g, m->offerer);
	if (!err && m->consumer)
		return gate_ask(g, name, m->header, m->offerer, m->consumer);
	if (!err)
		err = gate_find(g, RULE_FUNCTIONALITY, SEVERITY_ERROR, name, m->header, 0,
				"a new member of what the exports of %s take, which nobody else "
				"in the series names",
				m->offerer);
	return err;
}

static int look_at_header(struct gate *g, const char *header, const struct shape *before,
			  const struct shape *after)
{
	struct member m = { .header = header };
	struct arg body, old;
	size_t at = 0;
	int err = 0;

	while (!err && shape_struct(after, &at, &m.tag, &body)) {
		size_t in = 0;

		if (!find_struct(before, &m.tag, &old))
			continue; /* a new structure: function.c sees its name */
		while (!err && shape_member(&body, &in, &m.name)) {
			if (has_member(&old, &m.name))
				continue;
			m.offerer = m.consumer = NULL;
			err = look_at_changed(g, &m);
			if (!err)
				err = report(g, &m);
		}
	}
	return err;
}

int gate_rule_members(struct gate *g)
{
	int err = 0;

	for (size_t i = 0; !err && i < g->n_changed; i++) {
		struct changed_file *c = &g->changed[i];

		if (!gate_is_public(c->path) || git_oid_is_zero(&c->before) ||
		    git_oid_is_zero(&c->after))
			continue;
		err = gate_shapes(g, c);
		if (!err)
			err = look_at_header(g, c->path, &c->was, &c->is);
	}
	return err;
}
