// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * C that was not preprocessed: both branches of conditionals are there, and macros stand for
 * declarations. So nothing here is an error, and each closing brace in the first column ends a
 * function, whatever the count of braces says.
 */
#include "text/scanner.h"

static void statement_end(struct cstate *c)
{
	c->idents = 0;
	c->is_static = c->is_inline = c->is_extern = c->is_typedef = c->is_weak = false;
	c->aggregate = c->declared = c->invoked = c->attribute = false;
	c->last.len = 0;
	c->prev = 0;
	c->mode = MODE_TOP;
	c->depth = 0;
}

static bool all_upper(const struct token *t)
{
	if (t->len < 3)
		return false;
	for (size_t i = 0; i < t->len; i++)
		if (t->s[i] >= 'a' && t->s[i] <= 'z')
			return false;
	return true;
}

static void variable(struct blob_scanner *s)
{
	struct cstate *c = &s->c;

	if (c->declared || c->is_extern || c->is_typedef || !c->last.len || c->idents < 2)
		return;
	scan_def(s, c->last.s, c->last.len, c->last.hash, s->lex.line,
		 DEF_VAR | (c->is_static ? DEF_STATIC : 0));
}

static void top_name(struct blob_scanner *s, const struct token *t)
{
	struct cstate *c = &s->c;

	switch (keyword_of(t->hash)) {
	case KW_STATIC:
		c->is_static = true;
		break;
	case KW_EXTERN:
		c->is_extern = true;
		break;
	case KW_TYPEDEF:
		c->is_typedef = true;
		break;
	case KW_INLINE:
		c->is_inline = true;
		break;
	case KW_QUALIFIER:
		break;
	case KW_AGGREGATE:
		c->aggregate |= !c->declared;
		break;
	case KW_TYPE:
		c->idents++;
		c->last.len = 0;
		break;
	case KW_ATTRIBUTE:
		c->attribute = true;
		break;
	default:
		c->is_weak |= t->len == 6 && !memcmp(t->s, "__weak", 6);
		c->idents++;
		c->last = *t;
		c->line = s->lex.line;
	}
}

/* Macros that only declare: a call of one uses nothing. */
static bool declares_only(const struct token *t)
{
	static const char *const names[] = { "DECLARE_PER_CPU",     "DECLARE_EARLY_PER_CPU",
					     "DECLARE_STATIC_",     "DECLARE_TRACEPOINT",
					     "DECLARE_BITMAP",      "DECLARE_FLEX_ARRAY",
					     "DECLARE_RWSEM",       "INDIRECT_CALLABLE_DECLARE",
					     "DECLARE_STRUCT_GROUP" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (t->len >= strlen(names[i]) && !memcmp(t->s, names[i], strlen(names[i])))
			return true;
	return false;
}

static void top_open(struct blob_scanner *s)
{
	struct cstate *c = &s->c;
	bool named = c->prev == T_IDENT && c->last.len && !c->attribute;

	c->depth = 1;
	c->attribute = false;
	c->mode = MODE_SKIP;
	if (!named || c->declared)
		return;
	if (c->idents >= 2 && !all_upper(&c->last)) {
		c->declared = true;
		c->declarator = c->last;
		c->mode = MODE_PARAMS;
		locals_clear(&s->locals);
		c->expr.prev = '(';
		c->expr.pend = 0;
		return;
	}
	c->invoked = true;
	if (c->idents < 2)
		c->idents = 0;
	if (declares_only(&c->last))
		return;
	c->mode = MODE_ARGS;
	c->macro = c->last;
	c->macro_line = c->line;
	c->args = s->lex.p;
	expr_start(&c->expr, OWNER_TU);
	c->expr.paren = 1;
	c->expr.frames[1].callee = c->last.hash;
	refset_add(&s->facts, &s->facts.refs[OWNER_TU], c->last.hash);
}

static void open_function(struct blob_scanner *s)
{
	struct cstate *c = &s->c;
	uint32_t flags = DEF_FUNC | (c->is_static ? DEF_STATIC : 0) |
			 (c->is_inline ? DEF_INLINE : 0) | (c->is_weak ? DEF_WEAK : 0);

	if (!c->declared)
		locals_clear(&s->locals);
	c->fn_open = c->declared && s->kind == BLOB_HEADER && c->is_inline;
	expr_start(&c->expr, c->fn_open ? OWNER_INLINE : OWNER_TU);
	expr_statement(&c->expr);
	if (c->declared && !c->fn_open)
		scan_def(s, c->declarator.s, c->declarator.len, c->declarator.hash, c->line, flags);
	c->mode = MODE_BODY;
	c->depth = 1;
	c->if_stage = 0;
}

static void top_brace(struct blob_scanner *s)
{
	struct cstate *c = &s->c;

	if (c->declared || (c->invoked && (c->prev == ')' || !c->aggregate))) {
		open_function(s);
	} else if (c->aggregate) {
		c->mode = MODE_TYPE;
		c->depth = 1;
	} else if (c->is_extern && c->prev == T_STRING) {
		statement_end(c);
	} else {
		open_function(s);
	}
}

static void top_token(struct blob_scanner *s, const struct token *t)
{
	struct cstate *c = &s->c;

	switch (t->type) {
	case T_IDENT:
		top_name(s, t);
		break;
	case '(':
		top_open(s);
		break;
	case '{':
		top_brace(s);
		return;
	case '=':
		variable(s);
		c->mode = MODE_INIT;
		c->depth = 0;
		expr_start(&c->expr, OWNER_TU);
		locals_clear(&s->locals);
		return;
	case '[':
		c->mode = MODE_SKIP;
		c->depth = 1;
		break;
	case ',':
		variable(s);
		break;
	case ';':
		if (!c->aggregate || c->idents >= 2)
			variable(s);
		statement_end(c);
		return;
	case '}':
		statement_end(c);
		return;
	}
	c->prev = t->type;
}

/* Parameter names: a name after a name or '*' and before ',', ')' or '['. */
static void params_token(struct blob_scanner *s, const struct token *t)
{
	struct cstate *c = &s->c;
	struct expr *x = &c->expr;

	if (x->pend && (t->type == ',' || t->type == ')' || t->type == '['))
		locals_add(&s->locals, x->pend);
	x->pend = t->type == T_IDENT && (x->prev == T_IDENT || x->prev == '*') ? t->hash : 0;
	x->prev = t->type;
	if (t->type == '(')
		c->depth++;
	if (t->type == ')' && !--c->depth) {
		c->mode = MODE_TOP;
		c->prev = ')';
	}
}

static void args_token(struct blob_scanner *s, const struct token *t)
{
	struct cstate *c = &s->c;

	expr_token(&s->facts, &c->expr, &s->params, t);
	if (t->type == '(')
		c->depth++;
	if (t->type != ')' || --c->depth)
		return;
	scan_invocation(s, &c->macro, c->args, (size_t)(t->s - c->args), c->macro_line);
	c->mode = MODE_TOP;
	c->prev = ')';
}

static void init_token(struct blob_scanner *s, const struct token *t)
{
	struct cstate *c = &s->c;

	expr_token(&s->facts, &c->expr, &s->locals, t);
	c->expr.decl = t->type == '{' || t->type == ',' ? 0 : c->expr.decl;
	if (t->type == '{' || t->type == '(' || t->type == '[')
		c->depth++;
	else if ((t->type == '}' || t->type == ')' || t->type == ']') && c->depth)
		c->depth--;
	else if (t->type == ';' && !c->depth)
		statement_end(c);
}

/* A brace in the first column with nothing after it ends a function in kernel style. */
static bool ends_line(const struct lex *l)
{
	return l->p >= l->end || *l->p == '\n' || *l->p == '\r';
}

static void body_token(struct blob_scanner *s, const struct token *t, bool first_column)
{
	struct cstate *c = &s->c;
	struct token next;
	struct lex ahead;

	if (t->type == T_IDENT && !c->expr.decl && keyword_of(t->hash) == KW_EXTERN) {
		ahead = s->lex; /* a declaration: no use of what it names */
		while (lex_next(&ahead, &next) && next.type != ';' && next.type != '{' &&
		       next.type != T_DIRECTIVE)
			;
		if (next.type == ';')
			s->lex = ahead;
		return;
	}
	s->facts.line = s->lex.line;
	if (c->if_stage || (t->type == T_IDENT && t->len == 2)) /* else nothing begins */
		scan_if(s, t);
	expr_token(&s->facts, &c->expr, &s->locals, t);
	if (t->type == '{')
		c->depth++;
	if (t->type != '}') {
		if (c->if_stage)
			scan_if_end(s, t);
		return;
	}
	if (--c->depth && first_column && ends_line(&s->lex))
		c->depth = 0;
	scan_if_end(s, t);
	if (c->depth)
		return;
	if (c->fn_open)
		scan_close_inline(s, c);
	statement_end(c);
}

static void skip_token(struct blob_scanner *s, const struct token *t)
{
	struct cstate *c = &s->c;

	if (t->type == '(' || t->type == '[')
		c->depth++;
	if ((t->type == ')' || t->type == ']') && !--c->depth) {
		c->mode = MODE_TOP;
		c->prev = ')';
	}
}

static void type_token(struct blob_scanner *s, const struct token *t)
{
	struct cstate *c = &s->c;

	if (t->type == '{')
		c->depth++;
	if (t->type == '}' && !--c->depth) {
		c->mode = MODE_TOP;
		c->prev = '}';
		c->idents = 1;
		c->last.len = 0;
	}
}

/* ".macro ... .endm" in a header for assembly: its uses count for the files that include it. */
static void asm_macro(struct blob_scanner *s)
{
	struct token t;
	int prev = 0;

	while (lex_next(&s->lex, &t)) {
		if (t.type == T_DIRECTIVE)
			scan_directive(s);
		else if (t.type == T_IDENT && prev == '.' && t.len == 4 && !memcmp(t.s, "endm", 4))
			break;
		else if (t.type == T_IDENT)
			refset_add(&s->facts, &s->facts.refs[OWNER_TU], t.hash);
		else if (t.type == T_STRING)
			expr_asm_text(&s->facts, OWNER_TU, t.s, t.len);
		prev = t.type;
	}
	statement_end(&s->c);
}

void scan_c(struct blob_scanner *s)
{
	struct token t;

	statement_end(&s->c);
	s->c.fn_open = false;
	locals_clear(&s->locals);
	locals_clear(&s->params);
	while (lex_next(&s->lex, &t)) {
		bool first_column = t.type == '}' && (s->lex.p - 1 == t.s) &&
				    (s->lex.p - 1 == s->lex.start || s->lex.p[-2] == '\n');

		if (t.type == T_DIRECTIVE) {
			scan_directive(s);
			continue;
		}
		if (s->c.mode == MODE_TOP && s->c.prev == '.' && t.type == T_IDENT && t.len == 5 &&
		    !memcmp(t.s, "macro", 5)) {
			asm_macro(s);
			continue;
		}
		switch (s->c.mode) {
		case MODE_TOP:
			top_token(s, &t);
			break;
		case MODE_ARGS:
			args_token(s, &t);
			break;
		case MODE_PARAMS:
			params_token(s, &t);
			break;
		case MODE_SKIP:
			skip_token(s, &t);
			break;
		case MODE_BODY:
			body_token(s, &t, first_column);
			break;
		case MODE_INIT:
			init_token(s, &t);
			break;
		case MODE_TYPE:
			type_token(s, &t);
			break;
		}
	}
	if (s->c.fn_open)
		scan_close_inline(s, &s->c);
}
