// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Rule functionality: a new parameter of an old export.
 *
 * The definition of a function has more parameters than before, and the function was exported and
 * still is. The new parameter has a consumer when a caller in the series, in another file, gives
 * something else for it than 0, NULL or false. Callers that were only adapted give those.
 */
#include "gate/gate.h"
#include "gate/offers.h"
#include "text/args.h"
#include "text/kind.h"

#include <string.h>

struct growth {
	const char *name;
	const struct changed_file *file; /* that defines it */
	struct arg old[SHAPE_ARGS], new[SHAPE_ARGS];
	size_t n_old, n_new, first, last; /* the new ones are of new[first..last) */
};

/* Are they the same but for blanks? */
static bool same(const struct arg *a, const struct arg *b)
{
	size_t i = 0, j = 0;

	for (;; i++, j++) {
		while (i < a->len && strchr(" \t\n", a->s[i]))
			i++;
		while (j < b->len && strchr(" \t\n", b->s[j]))
			j++;
		if (i == a->len || j == b->len)
			return i == a->len && j == b->len;
		if (a->s[i] != b->s[j])
			return false;
	}
}

/* Skips the parameters that both begin with and those that both end with; the rest is new. */
static void compare(struct growth *w)
{
	size_t tail = 0;

	w->first = 0;
	while (w->first < w->n_old && same(&w->old[w->first], &w->new[w->first]))
		w->first++;
	while (tail < w->n_old - w->first &&
	       same(&w->old[w->n_old - 1 - tail], &w->new[w->n_new - 1 - tail]))
		tail++;
	w->last = w->n_new - tail;
}

static bool says_nothing(const struct arg *a)
{
	static const char *const nothing[] = {
		"0", "NULL", "false", "0U", "0u", "0UL", "0x0", "{}"
	};

	for (size_t i = 0; i < sizeof(nothing) / sizeof(*nothing); i++)
		if (a->len == strlen(nothing[i]) && !memcmp(a->s, nothing[i], a->len))
			return true;
	return !a->len;
}

static bool uses(const struct growth *w, const struct shape *s)
{
	struct arg args[SHAPE_ARGS];
	struct shape_at at = { 0 };
	size_t n;

	while (shape_call(s, w->name, &at, args, &n))
		for (size_t i = w->first; n == w->n_new && i < w->last; i++)
			if (!says_nothing(&args[i]))
				return true;
	return false;
}

static bool is_source(const char *path)
{
	enum blob_kind kind = blob_kind(path);

	return kind == BLOB_C || kind == BLOB_HEADER;
}

/* *consumer: a changed file that gives something for the new parameter, or NULL. */
static int find_consumer(struct gate *g, const struct growth *w, const char **consumer)
{
	int err = 0;

	*consumer = NULL;
	for (size_t i = 0; !err && !*consumer && i < g->n_changed; i++) {
		struct changed_file *c = &g->changed[i];

		if (!is_source(c->path) || gate_same_stem(c->path, w->file->path))
			continue;
		err = gate_shapes(g, c);
		if (!err && uses(w, &c->is))
			*consumer = c->path;
	}
	return err;
}

static struct arg name_of(const struct arg *parameter)
{
	size_t end = parameter->len, start;

	while (end && !is_word(parameter->s + end - 1, 1))
		end--;
	for (start = end; start && is_word(parameter->s + start - 1, 1);)
		start--;
	return (struct arg){ parameter->s + start, end - start };
}

static int report(struct gate *g, const struct growth *w)
{
	struct arg name = name_of(&w->new[w->first]);
	const char *consumer;
	int err = find_consumer(g, w, &consumer);

	if (!err)
		err = gate_note_subsystem(g, w->file->path);
	if (err)
		return err;
	if (consumer)
		return gate_ask(g, w->name, w->file->path, w->file->path, consumer);
	return gate_find(g, RULE_FUNCTIONALITY, SEVERITY_ERROR, w->name, w->file->path, 0,
			 "the old export has a new parameter '%.*s', for which no caller in the "
			 "series has a use",
			 (int)name.len, name.s);
}

static int look(struct gate *g, const struct changed_file *c, const struct shape *before,
		const struct shape *after)
{
	struct growth w = { .file = c };
	int err = 0;

	for (uint32_t i = 0; !err && i < g->base->n; i++) {
		const struct summary_symbol *s = &g->base->symbols[i];

		if (!summary_exports_in(g->base, s, c->old_path))
			continue;
		w.name = summary_str(g->base, s->name_str);
		if (!graph_find(g->head.graph, w.name) ||
		    !shape_parameters(before, w.name, w.old, &w.n_old) ||
		    !shape_parameters(after, w.name, w.new, &w.n_new) || w.n_new <= w.n_old ||
		    w.n_new >= SHAPE_ARGS)
			continue;
		compare(&w);
		err = report(g, &w);
	}
	return err;
}

int gate_rule_parameters(struct gate *g)
{
	int err = 0;

	for (size_t i = 0; !err && i < g->n_changed; i++) {
		struct changed_file *c = &g->changed[i];

		if (blob_kind(c->path) != BLOB_C || git_oid_is_zero(&c->before) ||
		    git_oid_is_zero(&c->after) || !gate_offers(g, c->old_path))
			continue;
		err = gate_shapes(g, c);
		if (!err)
			err = look(g, c, &c->was, &c->is);
	}
	return err;
}
