// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What a public header declares. */
#include "base/vec.h"
#include "own/own.h"
#include "text/scanner.h"

#include <errno.h>
#include <string.h>

#define MAX_NESTED 32 /* conditionals that are looked into */

struct declarator {
	struct token name;
	uint32_t line;
	bool skip; /* typedef, static, inline, or a body: nothing to link */
	bool is_extern;
	bool function;
};

static bool is_assertion(const struct token *t)
{
	return (t->len == 14 && !memcmp(t->s, "_Static_assert", 14)) ||
	       (t->len == 13 && !memcmp(t->s, "static_assert", 13));
}

static int declared(struct declarator *d, uint32_t file_, struct vec *out)
{
	struct declaration made = { .file = file_, .line = d->line };
	int err = 0;

	if (!d->skip && d->name.len && !is_assertion(&d->name) && (d->function || d->is_extern)) {
		made.name = strndup(d->name.s, d->name.len);
		err = made.name ? vec_push(out, &made, sizeof(made)) : -ENOMEM;
	}
	*d = (struct declarator){ 0 };
	return err;
}

/* One token at file scope. */
static void top(struct declarator *d, const struct token *t, const struct token *last,
		uint32_t line)
{
	enum keyword kw = t->type == T_IDENT ? keyword_of(t->hash) : KW_NONE;

	if (kw == KW_TYPEDEF || kw == KW_STATIC || kw == KW_INLINE)
		d->skip = true;
	d->is_extern |= kw == KW_EXTERN;
	if (t->type == '(' && last->type == T_IDENT && !d->function &&
	    keyword_of(last->hash) == KW_NONE && d->name.len) {
		d->function = true;
		d->line = line;
	} else if (t->type == T_IDENT && kw == KW_NONE && !d->function) {
		d->name = *t;
		d->line = line;
	}
}

/* Where in a header we are. */
struct place {
	struct declarator d;
	struct token last;
	uint32_t depth, paren, linkage; /* braces, parentheses, extern "C" { */
};

struct conditions {
	struct place v[MAX_NESTED]; /* at each #if */
	uint32_t n;                 /* may be more */
};

/* Each branch of a conditional begins where the first did: all may open the same brace. */
static void directive(struct conditions *c, struct place *p, const char *s, const char *end)
{
	while (s < end && (*s == ' ' || *s == '\t'))
		s++;
	if (end - s > 2 && !memcmp(s, "if", 2)) {
		if (c->n < MAX_NESTED)
			c->v[c->n] = *p;
		c->n++;
	} else if (end - s > 3 && !memcmp(s, "el", 2)) {
		if (c->n && c->n <= MAX_NESTED)
			*p = c->v[c->n - 1];
	} else if (end - s > 4 && !memcmp(s, "endif", 5)) {
		c->n -= c->n > 0;
	}
}

static int see(struct place *p, const struct token *t, uint32_t line, uint32_t file_,
	       struct vec *out)
{
	struct declarator *d = &p->d;

	if (t->type == '{' && !p->depth && p->last.type == T_STRING && d->is_extern) {
		p->linkage++; /* extern "C" */
		*d = (struct declarator){ 0 };
	} else if (t->type == '{') {
		d->skip |= d->function && !p->depth;
		p->depth++;
	} else if (t->type == '}' && p->depth) {
		if (!--p->depth && d->function)
			*d = (struct declarator){ 0 };
	} else if (t->type == '}' && p->linkage) {
		p->linkage--;
	} else if (!p->depth) {
		if (!p->paren)
			top(d, t, &p->last, line);
		p->paren += t->type == '(';
		p->paren -= t->type == ')' && p->paren;
		if (t->type == ';')
			return declared(d, file_, out);
	}
	return 0;
}

int own_declarations(const char *text, size_t len, uint32_t file_, struct vec *out)
{
	struct lex l = { .p = text, .end = text + len, .start = text, .line = 1, .bol = true };
	struct conditions c = { .n = 0 };
	struct place p = { 0 };
	struct token t;
	int err = 0;

	while (!err && lex_next(&l, &t)) {
		if (t.type == T_DIRECTIVE) {
			directive(&c, &p, l.p, l.end);
			lex_skip_to(&l, lex_line_end(&l));
			continue;
		}
		err = see(&p, &t, l.line, file_, out);
		p.last = t;
	}
	return err;
}
