// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* References in a run of tokens. */
#include "text/expr.h"
#include "base/hash.h"
#include "text/export.h"

#define NO_DECL UINT32_MAX

void expr_start(struct expr *x, enum owner owner)
{
	memset(x, 0, sizeof(*x));
	x->owner = owner;
	x->decl = NO_DECL;
}

void expr_statement(struct expr *x)
{
	x->decl = 0;
	x->in_asm = false;
	x->goto_label = false;
}

void expr_flush(struct facts *f, struct expr *x, const struct locals *l)
{
	if (x->pend && x->pend != x->self && !locals_has(l, x->pend))
		refset_add(f, &f->refs[x->owner], x->pend);
	x->pend = 0;
}

static struct frame *frame(struct expr *x)
{
	return &x->frames[x->paren < EXPR_FRAMES ? x->paren : EXPR_FRAMES - 1];
}

static void close_argument(struct facts *f, struct expr *x, const struct locals *l)
{
	struct frame *fr = frame(x);

	if (fr->callee && fr->items == 1 && !(x->in_macro && locals_has(l, fr->arg)))
		refset_add(f, &f->refs[x->owner], blob_hash_pair(fr->callee, fr->arg));
	if (fr->callee && fr->nested)
		refset_add(f, &f->refs[x->owner], blob_hash_pair(fr->callee, BLOB_NESTED));
	fr->items = 0;
	fr->nested = false;
}

void expr_asm_text(struct facts *f, enum owner owner, const char *s, size_t len)
{
	struct lex l = { .p = s, .end = s + len, .in_body = true };
	struct token t;

	while (lex_next(&l, &t))
		if (t.type == T_IDENT)
			refset_add(f, &f->refs[owner], t.hash);
}

/* A program that writes source: printf("EXPORT_SYMBOL(name);\n"). */
static void printed_export(struct facts *f, const struct token *t)
{
	struct lex l = { .p = t->s, .end = t->s + t->len, .in_body = true };
	struct token macro, name, close;
	struct blob_export x = { 0 }, *to;
	const struct export_macro *m;

	lex_next(&l, &macro);
	m = export_macro(macro.s, macro.len);
	if (!m || lex_next(&l, &close) != '(' || lex_next(&l, &name) != T_IDENT ||
	    lex_next(&l, &close) != ')')
		return;
	x.name_str = facts_str(f, name.s, name.len);
	x.macro_str = facts_str(f, macro.s, macro.len);
	x.licence = (uint8_t)m->licence;
	x.variant = (uint8_t)m->variant;
	x.line = f->line;
	to = facts_add(f, &f->exports, sizeof(*to));
	if (to)
		*to = x;
}

/* __symbol_get("name") uses it as a call would. */
static bool looked_up(const struct facts *f, uint64_t callee)
{
	for (int i = 0; callee && i < LOOKUPS; i++)
		if (f->lookups[i] == callee)
			return true;
	return false;
}

static void string(struct facts *f, struct expr *x, const struct token *t)
{
	if (!frame(x)->items && looked_up(f, frame(x)->callee))
		refset_add(f, &f->refs[x->owner], hash_bytes(t->s, t->len));
	frame(x)->items += 2;
	if (x->in_asm) {
		expr_asm_text(f, x->owner, t->s, t->len);
		return;
	}
	if (t->len > 15 && !memcmp(t->s, "EXPORT_SYMBOL", 13))
		printed_export(f, t);
	if (t->len < 3 || t->len > 128 || (*t->s >= '0' && *t->s <= '9'))
		return;
	for (size_t i = 0; i < t->len; i++) {
		char c = t->s[i];

		if (c != '_' && !(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') &&
		    !(c >= 'A' && c <= 'Z'))
			return;
	}
	refset_add(f, &f->strings, hash_bytes(t->s, t->len));
}

static void name(struct facts *f, struct expr *x, const struct locals *l, const struct token *t)
{
	enum keyword kw = keyword_of(t->hash);
	struct frame *fr = frame(x);

	expr_flush(f, x, l);
	fr->items++;
	fr->arg = t->hash;
	x->saw_name = true;
	if (kw == KW_ASM)
		x->in_asm = x->saw_asm = true;
	if (kw != KW_NONE && kw != KW_ATTRIBUTE && kw != KW_ASM) {
		if (kw == KW_CONTROL || kw == KW_GOTO)
			x->decl = NO_DECL;
		else if (x->decl != NO_DECL && kw != KW_AGGREGATE && kw != KW_QUALIFIER)
			x->decl++;
		x->goto_label = kw == KW_GOTO;
	} else if (x->member || x->paste || x->goto_label) {
		x->goto_label = false;
		fr->items++;
	} else {
		x->pend = t->hash;
		if (x->decl != NO_DECL)
			x->decl++;
	}
	if (x->in_macro && t->len >= 6 && memmem(t->s, t->len, "EXPORT", 6))
		x->saw_export = true;
	x->member = x->paste = false;
	x->prev = T_IDENT;
}

/* The token after a name tells whether it is a declaration, a label or a use. */
static void settle(struct facts *f, struct expr *x, struct locals *l, int next)
{
	bool ends = next == '=' || next == ';' || next == ',' || next == '[';

	if (x->pend && x->prev == T_IDENT) {
		if (next == T_PASTE)
			x->pend = 0;
		else if (next == ':' && x->decl == 1)
			x->pend = 0; /* a label */
		else if (ends && x->decl != NO_DECL && x->decl >= 2 && !x->in_macro) {
			locals_add(l, x->pend);
			x->pend = 0;
		}
	}
	if (next != '*' || !x->decl)
		x->decl = NO_DECL;
}

static void open_paren(struct facts *f, struct expr *x, const struct locals *l)
{
	uint64_t callee = x->prev == T_IDENT ? x->pend : 0;

	expr_flush(f, x, l);
	frame(x)->items += 2;
	frame(x)->nested |= callee != 0;
	x->paren++;
	*frame(x) = (struct frame){ .callee = x->paren < EXPR_FRAMES ? callee : 0 };
}

void expr_token(struct facts *f, struct expr *x, struct locals *l, const struct token *t)
{
	if (t->type == T_IDENT) {
		name(f, x, l, t);
		return;
	}
	settle(f, x, l, t->type);
	x->goto_label = false;
	x->member = t->type == '.' || t->type == T_ARROW;
	x->paste = t->type == T_PASTE;
	x->saw_paste |= x->paste;
	switch (t->type) {
	case '(':
		open_paren(f, x, l);
		break;
	case ')':
		expr_flush(f, x, l);
		close_argument(f, x, l);
		if (x->paren)
			x->paren--;
		break;
	case ',':
		expr_flush(f, x, l);
		close_argument(f, x, l);
		break;
	case ';':
	case '{':
	case '}':
		expr_flush(f, x, l);
		expr_statement(x);
		break;
	case T_NUMBER:
		expr_flush(f, x, l);
		frame(x)->items++;
		frame(x)->arg = t->hash;
		break;
	case T_STRING:
		expr_flush(f, x, l);
		string(f, x, t);
		break;
	default:
		expr_flush(f, x, l);
		frame(x)->items += 2;
		if (t->type == ':')
			x->decl = 0;
	}
	x->prev = t->type;
}
