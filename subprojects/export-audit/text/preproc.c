// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Directives. Macros become entities; all branches of a conditional count, but for #if 0. */
#include "text/scanner.h"

#include <stdio.h>

/* Parameter list at the parenthesis; returns the position after it. */
static const char *macro_params(struct blob_scanner *s, struct lex *l, uint32_t *params_str)
{
	const char *start = l->p + 1;
	struct token t;

	l->p++;
	while (lex_next(l, &t) && t.type != ')')
		if (t.type == T_IDENT)
			locals_add(&s->params, t.hash);
	if (t.type == ')')
		*params_str = facts_folded(&s->facts, start, (size_t)(l->p - 1 - start));
	return l->p;
}

static bool number_only(struct lex l)
{
	struct token t;

	while (lex_next(&l, &t))
		if (t.type == T_IDENT || t.type == T_STRING || t.type == T_PASTE)
			return false;
	return true;
}

static void default_namespace(struct blob_scanner *s, struct lex l)
{
	struct token t;

	if (lex_next(&l, &t) && (t.type == T_IDENT || t.type == T_STRING))
		s->facts.namespace_str = facts_str(&s->facts, t.s, t.len);
}

static void define(struct blob_scanner *s, struct lex l, uint32_t line)
{
	struct facts *f = &s->facts;
	struct blob_entity *e, made = { .kind = ENTITY_MACRO, .line = line };
	struct expr x;
	struct token name, t;
	const char *body;

	if (lex_next(&l, &name) != T_IDENT)
		return;
	if (name.len > 7 && !memcmp(name.s, "CONFIG_", 7))
		refset_add(f, &f->options, name.hash);
	locals_clear(&s->params);
	if (l.p < l.end && *l.p == '(') {
		if (number_only(l))
			return;
		macro_params(s, &l, &made.params_str);
		made.flags = MACRO_FUNCTION;
	} else if (number_only(l)) {
		return;
	}
	body = l.p;
	/* <linux/export.h> needs it before it is included */
	if (name.len == 24 && !f->includes.n && !memcmp(name.s, "DEFAULT_SYMBOL_NAMESPACE", 24))
		default_namespace(s, l);
	expr_start(&x, OWNER_MACRO);
	x.self = name.hash;
	x.in_macro = true;
	while (lex_next(&l, &t))
		expr_token(f, &x, &s->params, &t);
	expr_flush(f, &x, &s->params);
	if (!x.saw_name && !x.saw_paste && !f->refs[OWNER_MACRO].n)
		return;
	made.hash = name.hash;
	made.guard = (uint16_t)s->guard;
	made.name_str = facts_str(f, name.s, name.len);
	made.flags |=
		(x.saw_paste || x.saw_asm ? MACRO_PASTES : 0) | (x.saw_export ? MACRO_EXPORTS : 0);
	if (l.end - body <= BODY_LIMIT)
		made.body_str = facts_folded(f, body, (size_t)(l.end - body));
	facts_close_entity(f, &f->refs[OWNER_MACRO], &made);
	e = facts_add(f, &f->entities, sizeof(*e));
	if (e)
		*e = made;
}

/* Headers of the C library that no kernel code includes. */
static bool of_programs(const char *path, size_t len)
{
	static const char *const names[] = { "stdio.h", "stdlib.h", "unistd.h", "getopt.h",
					     "pthread.h" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strlen(names[i]) == len && !memcmp(names[i], path, len))
			return true;
	return false;
}

static void include(struct blob_scanner *s, struct lex *l)
{
	struct blob_include *i;
	const char *p = l->p, *end = l->end, *close;

	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	if (p == end)
		return;
	close = *p == '<' || *p == '"' ? memchr(p + 1, *p == '<' ? '>' : '"', (size_t)(end - p - 1))
				       : NULL;
	i = facts_add(&s->facts, &s->facts.includes, sizeof(*i));
	if (!i)
		return;
	i->quoted = close ? *p == '"' : 2;
	if (!close)
		for (close = p, p--; close < end && *close != ' ' && *close != '\t'; close++)
			;
	i->path_str = facts_str(&s->facts, p + 1, (size_t)(close - p - 1));
	if (!i->quoted && of_programs(p + 1, (size_t)(close - p - 1)))
		s->facts.flags |= BLOB_IS_PROGRAM;
}

/* After "#if 0": moves to the line of the #else, #elif or #endif that ends it. */
static void skip_dead(struct blob_scanner *s)
{
	struct lex *l = &s->lex;
	int depth = 0;

	while (l->p < l->end) {
		const char *nl = memchr(l->p, '\n', (size_t)(l->end - l->p));
		const char *p = nl ? nl + 1 : l->end;

		lex_skip_to(l, p);
		while (p < l->end && (*p == ' ' || *p == '\t'))
			p++;
		if (p >= l->end || *p != '#')
			continue;
		for (p++; p < l->end && (*p == ' ' || *p == '\t');)
			p++;
		if (l->end - p > 2 && !memcmp(p, "if", 2)) {
			depth++;
		} else if (l->end - p >= 5 && !memcmp(p, "endif", 5)) {
			if (!depth--)
				return;
		} else if (!depth && l->end - p >= 4 &&
			   (!memcmp(p, "else", 4) || !memcmp(p, "elif", 4))) {
			return;
		}
	}
}

static bool is_zero(const struct lex *l)
{
	struct lex copy = *l;
	struct token t, rest;

	return lex_next(&copy, &t) == T_NUMBER && t.len == 1 && *t.s == '0' &&
	       !lex_next(&copy, &rest);
}

static void restore(struct blob_scanner *s)
{
	const struct cstate *old = &s->saved[s->conds - 1];

	if (s->c.fn_open)
		scan_close_inline(s, &s->c);
	s->c = *old;
	if (s->c.fn_open && s->kind != BLOB_HEADER)
		s->c.fn_open = false;
}

static void conditional(struct blob_scanner *s, enum directive d, bool dead)
{
	if (d == DIR_IF) {
		if (s->conds < COND_DEPTH)
			s->saved[s->conds] = s->c;
		s->conds++;
	} else if (d == DIR_ELSE && s->conds && s->conds <= COND_DEPTH) {
		restore(s);
	} else if (d == DIR_ENDIF && s->conds) {
		s->conds--;
	}
	if (dead)
		skip_dead(s);
}

void scan_directive(struct blob_scanner *s)
{
	struct lex *l = &s->lex, line = *l;
	struct token t;
	enum directive d;
	bool dead;

	line.end = lex_line_end(l);
	line.in_body = true;
	if (lex_next(&line, &t) != T_IDENT) {
		lex_skip_to(l, s->kind == BLOB_ASM && line.end > l->p
				       ? memchr(l->p, '\n', (size_t)(line.end - l->p)) ?: line.end
				       : line.end);
		return;
	}
	d = directive_of(t.hash);
	if (d == DIR_DEFINE)
		define(s, line, l->line);
	else if (d == DIR_INCLUDE)
		include(s, &line);
	dead = (d == DIR_IF && t.len == 2 && is_zero(&line)) ||
	       (d == DIR_ELSE && t.len == 4 && t.s[2] == 'i' && is_zero(&line));
	if (d == DIR_IF || d == DIR_ELSE || d == DIR_ENDIF)
		scan_guard(s, d, &t, &line);
	lex_skip_to(l, line.end);
	if (d == DIR_IF || d == DIR_ELSE || d == DIR_ENDIF)
		conditional(s, d, dead);
}
