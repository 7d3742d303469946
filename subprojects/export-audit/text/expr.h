/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef EXPR_H
#define EXPR_H

/*
 * Which identifiers a run of tokens uses: function bodies, initialisers, arguments and
 * macro bodies. Members, labels, local variables and operands of ## are left out; calls
 * with a sole identifier as argument also give a pair (see blob_hash_pair()).
 * Private to the scanner. May be copied: each branch of a conditional starts from a copy.
 */

#include "text/lex.h"

#define EXPR_FRAMES 32
#define EXPR_LOCALS 192

/* Local variables, parameters of the function or of the macro. */
struct locals {
	uint64_t bloom;
	uint32_t n;
	uint64_t names[EXPR_LOCALS];
};

struct frame {
	uint64_t callee, arg;
	uint32_t items; /* tokens in the current argument */
	bool nested;    /* one of them calls something */
};

struct expr {
	enum owner owner;
	int prev;
	bool member, paste, in_asm, in_macro, goto_label, saw_name, saw_paste, saw_export, saw_asm;
	uint64_t self; /* a macro's own name: no use of another's */
	uint64_t pend; /* name seen, not known yet to be a reference */
	uint32_t paren, brace;
	/* a declaration at the start of a statement: names so far, UINT32_MAX: it is none */
	uint32_t decl;
	struct frame frames[EXPR_FRAMES];
};

void expr_start(struct expr *x, enum owner owner);
void expr_statement(struct expr *x); /* the next token starts a statement */
void expr_token(struct facts *f, struct expr *x, struct locals *l, const struct token *t);
void expr_flush(struct facts *f, struct expr *x, const struct locals *l);

/* Identifiers in the text of an assembler string. */
void expr_asm_text(struct facts *f, enum owner owner, const char *s, size_t len);

static inline void locals_clear(struct locals *l)
{
	l->n = 0;
	l->bloom = 0;
}

static inline void locals_add(struct locals *l, uint64_t h)
{
	if (l->n == EXPR_LOCALS)
		return;
	l->names[l->n++] = h;
	l->bloom |= 1ull << (h & 63);
}

static inline bool locals_has(const struct locals *l, uint64_t h)
{
	if (!(l->bloom >> (h & 63) & 1))
		return false;
	for (uint32_t i = 0; i < l->n; i++)
		if (l->names[i] == h)
			return true;
	return false;
}

#endif
