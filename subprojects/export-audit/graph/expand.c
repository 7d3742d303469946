// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Macro expansion for what macros define or export. Only calls of function-like macros
 * and other names for export macros are replaced; a plain name stays what it is, since
 * which of its definitions holds depends on the configuration.
 */
#include "graph/expand.h"
#include "base/vec.h"
#include "graph/entities.h"
#include "text/args.h"
#include "text/export.h"
#include "text/lex.h"

#include <errno.h>

#define DEPTH_LIMIT 14
/*
 * Bytes. The longest expansion of 6.12 is 1 MiB: s390's test of modules has 10,000 exports in one
 * invocation. Once all expansions of a tree have taken WORK_LIMIT, each further one is cut at
 * OUTPUT_LITTLE; the user is told of those.
 */
#define OUTPUT_LIMIT (8u << 20)
#define OUTPUT_LITTLE (64u << 10)
#define WORK_LIMIT (96ull << 20)
#define ALTERNATIVES 4
#define ARGS_MAX 24

struct expansion {
	struct resolver *r;
	uint32_t file;
	struct vec *out;
	int depth;
	size_t limit, budget;
	bool cut;
	int err;
};

static void emit(struct expansion *x, const char *s, size_t n)
{
	if (x->out->n + n > x->limit)
		x->cut = true;
	if (x->out->n + n > x->limit || !n)
		return;
	if (!x->err)
		x->err = vec_push(x->out, s, n);
}

static const char *body_of(struct resolver *r, uint32_t e)
{
	return blob_str(r->files[r->entity_file[e]].blob, entity(r, e)->body_str);
}

/*
 * The definitions of a macro that the file may mean: its own if it has any, and of these the ones
 * that export if there are any.
 */
static uint32_t definitions(struct expansion *x, uint64_t hash, uint32_t *found)
{
	struct resolver *r = x->r;
	uint32_t n = 0;

	for (int pass = 0; pass < 4 && !n; pass++)
		for (uint32_t e = hmap_get(&r->entities, hash); e != HMAP_NONE;
		     e = r->entity_next[e]) {
			const struct blob_entity *m = entity(r, e);
			bool own = r->entity_file[e] == x->file, exports = m->flags & MACRO_EXPORTS;

			if (m->kind != ENTITY_MACRO || !m->body_str || n == ALTERNATIVES ||
			    own != (pass < 2) || exports != (pass % 2 == 0))
				continue;
			if (own || entity_visible(r, x->file, e))
				found[n++] = e;
		}
	return n;
}

static void text(struct expansion *x, const char *s, size_t n);

static const struct arg *param(const struct arg *names, size_t n, const struct token *t)
{
	for (size_t i = 0; i < n; i++)
		if (names[i].len == t->len && !memcmp(names[i].s, t->s, t->len))
			return &names[i];
	return NULL;
}

/* "args...", "...": the last parameter takes all that is left. */
static void variadic(struct arg *names, size_t n, const char *args, size_t len, struct arg *values,
		     size_t n_values)
{
	struct arg *last = n ? &names[n - 1] : NULL;

	if (!last || last->len < 3 || memcmp(last->s + last->len - 3, "...", 3))
		return;
	last->len -= 3;
	if (!last->len)
		*last = (struct arg){ "__VA_ARGS__", 11 };
	values[n - 1] = n_values < n ? (struct arg){ "", 0 }
				     : (struct arg){ values[n - 1].s,
						     (size_t)(args + len - values[n - 1].s) };
}

/* The body with parameters replaced and ## and # carried out. */
static void substitute(struct expansion *x, const char *body, const struct arg *names,
		       const struct arg *values, size_t n, struct vec *to)
{
	struct lex l = { .p = body, .end = body + strlen(body), .in_body = true };
	const char *copied = body;
	struct token t;
	bool joined = false;

	while (lex_next(&l, &t) && !x->err && to->n < x->limit) {
		const struct arg *p = t.type == T_IDENT ? param(names, n, &t) : NULL;
		const char *start = t.type == T_STRING || t.type == T_CHAR ? t.s - 1 : t.s;
		const char *gap = copied;

		if (joined)
			gap = start;
		if (t.type == T_PASTE) {
			while (to->n && to->data[to->n - 1] == ' ')
				to->n--;
			copied = l.p;
			joined = true;
			continue;
		}
		x->err = vec_push(to, gap, (size_t)(start - gap));
		joined = false;
		copied = l.p;
		if (p && !x->err)
			x->err = values[p - names].len
					 ? vec_push(to, values[p - names].s, values[p - names].len)
					 : 0;
		else if (t.type != '#' && !x->err)
			x->err = vec_push(to, start, (size_t)(l.p - start));
	}
	x->cut |= to->n >= x->limit;
	x->err = x->err ? x->err : vec_push(to, " ", 1);
}

static void replace(struct expansion *x, uint32_t e, const char *args, size_t len)
{
	const struct blob_entity *m = entity(x->r, e);
	const char *params = blob_str(x->r->files[x->r->entity_file[e]].blob, m->params_str);
	struct arg names[ARGS_MAX], values[ARGS_MAX + 1] = { 0 };
	struct vec to = { 0 };
	size_t n = 0, given;

	if (m->flags & MACRO_FUNCTION && m->params_str)
		n = split_args(params, strlen(params), names, ARGS_MAX);
	given = split_args(args, len, values, ARGS_MAX);
	for (size_t i = given; i < n; i++)
		values[i] = (struct arg){ "", 0 };
	variadic(names, n, args, len, values, given);
	substitute(x, body_of(x->r, e), names, values, n, &to);
	if (!(m->flags & MACRO_FUNCTION) && !x->err) { /* another name: the call remains */
		x->err = vec_push(&to, "(", 1);
		if (len && !x->err)
			x->err = vec_push(&to, args, len);
		x->err = x->err ? x->err : vec_push(&to, ")", 1);
	}
	if (!x->err && to.n < x->budget) {
		x->budget -= to.n;
		text(x, to.data, to.n);
	} else {
		x->cut = true;
	}
	free(to.data);
}

/* Position of the parenthesis that matches the one before l->p, or NULL. */
static const char *closing(struct lex l)
{
	struct token t;
	int depth = 1;

	while (lex_next(&l, &t)) {
		depth += t.type == '(';
		if (t.type == ')' && !--depth)
			return t.s;
	}
	return NULL;
}

static void text(struct expansion *x, const char *s, size_t n)
{
	struct lex l = { .p = s, .end = s + n, .in_body = true };
	const char *copied = s;
	struct token t, next;

	if (++x->depth > DEPTH_LIMIT) {
		emit(x, s, n);
		x->depth--;
		return;
	}
	while (!x->err && lex_next(&l, &t)) {
		uint32_t found[ALTERNATIVES], k;
		struct lex ahead = l;
		const char *close;

		if (t.type != T_IDENT || lex_next(&ahead, &next) != '(' ||
		    export_macro(t.s, t.len) || raw_export(t.s, t.len))
			continue;
		k = definitions(x, t.hash, found);
		close = k ? closing(ahead) : NULL;
		if (!close)
			continue;
		emit(x, copied, (size_t)(t.s - copied));
		for (uint32_t i = 0; i < k; i++) {
			if (i)
				emit(x, " ; ", 3);
			if (entity(x->r, found[i])->flags & MACRO_EXPORTS || !i)
				replace(x, found[i], ahead.p, (size_t)(close - ahead.p));
		}
		l.p = copied = close + 1;
	}
	emit(x, copied, (size_t)(s + n - copied));
	x->depth--;
}

int expand_invocation(struct resolver *r, uint32_t file, const char *macro, const char *args,
		      struct vec *out)
{
	struct expansion x = { .r = r, .file = file, .out = out, .limit = OUTPUT_LIMIT };
	struct vec start = { 0 };
	int err;

	if (r->expanded > WORK_LIMIT)
		x.limit = OUTPUT_LITTLE;
	x.budget = 4 * x.limit;
	out->n = 0;
	err = vec_push(&start, macro, strlen(macro));
	err = err ? err : vec_push(&start, "(", 1);
	if (*args)
		err = err ? err : vec_push(&start, args, strlen(args));
	err = err ? err : vec_push(&start, ")", 1);
	if (!err) {
		text(&x, start.data, start.n);
		err = x.err ? x.err : vec_push(out, "", 1);
	}
	r->expanded += 4 * x.limit - x.budget + out->n;
	r->cut = x.cut;
	free(start.data);
	return err;
}
