// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Assembly, linker scripts and Rust: names without a grammar. */
#include "text/scanner.h"

static bool contains(const struct token *t, const char *word)
{
	return memmem(t->s, t->len, word, strlen(word)) != NULL;
}

/* Text between the parenthesis at l->p and its match on the same statement, or NULL. */
static const char *matching(const struct lex *l)
{
	const char *end = l->end - l->p > ARGS_LIMIT ? l->p + ARGS_LIMIT : l->end;
	int depth = 0;

	for (const char *p = l->p; p < end; p++) {
		if (*p == '(')
			depth++;
		if (*p == ')' && !--depth)
			return p;
	}
	return NULL;
}

static bool defines(const struct blob_scanner *s, const struct token *t)
{
	for (const char *p = t->s; p > s->lex.start && p[-1] != '\n'; p--)
		if (p[-1] != ' ' && p[-1] != '\t')
			return false; /* an operand */
	return contains(t, "ENTRY") || contains(t, "START") || contains(t, "GLOBAL") ||
	       contains(t, "FUNC") || contains(t, "ALIAS") || contains(t, "_DATA") ||
	       contains(t, "ENDPROC") || contains(t, "END");
}

static void first_argument(struct blob_scanner *s, struct lex l)
{
	struct token t;

	l.p++;
	if (lex_next(&l, &t) == T_IDENT)
		scan_def(s, t.s, t.len, t.hash, l.line, DEF_FUNC);
}

static void asm_name(struct blob_scanner *s, const struct token *t, int prev,
		     const struct token *last)
{
	struct lex *l = &s->lex;
	const char *close;

	if (prev == '.' && last->type == '.')
		return; /* a directive */
	if (l->p < l->end && *l->p == ':') {
		scan_def(s, t->s, t->len, t->hash, l->line, DEF_FUNC);
		return;
	}
	if (l->p < l->end && *l->p == '(' && (close = matching(l))) {
		scan_invocation(s, t, l->p + 1, (size_t)(close - l->p - 1), l->line);
		if (contains(t, "EXPORT_")) {
			lex_skip_to(l, close + 1);
			return;
		}
		if (defines(s, t))
			first_argument(s, *l);
	}
	refset_add(&s->facts, &s->facts.refs[OWNER_TU], t->hash);
}

void scan_asm(struct blob_scanner *s)
{
	struct token t, last = { 0 };
	bool global = false;
	uint64_t called = 0;

	s->lex.is_asm = true;
	while (lex_next(&s->lex, &t)) {
		if (t.type == T_DIRECTIVE) {
			scan_directive(s);
			continue;
		}
		if (t.type == T_IDENT) {
			if (global)
				scan_def(s, t.s, t.len, t.hash, s->lex.line, DEF_FUNC);
			else
				asm_name(s, &t, last.type, &last);
			if (called && s->lex.p < s->lex.end &&
			    (*s->lex.p == ')' || *s->lex.p == ','))
				refset_add(&s->facts, &s->facts.refs[OWNER_TU],
					   blob_hash_pair(called, t.hash));
			global = last.type == '.' && ((t.len == 5 && !memcmp(t.s, "globl", 5)) ||
						      (t.len == 6 && !memcmp(t.s, "global", 6)) ||
						      (t.len == 4 && !memcmp(t.s, "weak", 4)));
		} else if (t.type == T_STRING) {
			expr_asm_text(&s->facts, OWNER_TU, t.s, t.len);
		} else if (t.type == '(') {
			called = last.type == T_IDENT ? last.hash : 0;
		} else if (t.type == ')') {
			called = 0;
		}
		last = t;
	}
}

/* Rust reaches C only through the generated bindings. */
void scan_rust(struct blob_scanner *s)
{
	struct token t, back[3] = { 0 };

	s->lex.is_rust = true;
	while (lex_next(&s->lex, &t)) {
		if (t.type == T_IDENT && back[0].type == ':' && back[1].type == ':' &&
		    back[2].type == T_IDENT && back[2].len == 8 &&
		    !memcmp(back[2].s, "bindings", 8))
			refset_add(&s->facts, &s->facts.refs[OWNER_TU], t.hash);
		back[2] = back[1];
		back[1] = back[0];
		back[0] = t;
	}
}
