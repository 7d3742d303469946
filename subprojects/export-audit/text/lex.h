/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef LEX_H
#define LEX_H

/*
 * Tokens of C, assembly and Rust in one pass over bytes that need not end in NUL.
 * Comments are dropped; a '#' that starts a line is a token of its own. Private to
 * the scanner.
 */

#include "text/facts.h"

enum {
	T_EOF = 0,
	T_IDENT = 256,
	T_NUMBER,
	T_STRING,
	T_CHAR,
	T_ARROW,
	T_DOTS,
	T_PASTE,
	T_DIRECTIVE
};

struct token {
	int type; /* one of T_*, or a character */
	const char *s;
	size_t len;
	uint64_t hash; /* T_IDENT and T_NUMBER */
};

struct lex {
	const char *p, *end, *start;
	uint32_t line;
	bool bol;     /* only blanks since the start of the line */
	bool is_asm;  /* comments of assemblers; dots belong to names of directives */
	bool is_rust; /* 'a is a lifetime */
	bool in_body; /* inside a #define: '#' is an operator, newlines are continued */
};

int lex_next(struct lex *l, struct token *t);

/* End of the logical line at l->p: continuations and comments count into it. */
const char *lex_line_end(const struct lex *l);
/* Moves to `to`, counting lines. */
void lex_skip_to(struct lex *l, const char *to);

enum keyword {
	KW_NONE,
	KW_STATIC,
	KW_EXTERN,
	KW_TYPEDEF,
	KW_INLINE,
	KW_QUALIFIER, /* const, volatile, register: no part of a declarator's type count */
	KW_AGGREGATE, /* struct, union, enum */
	KW_TYPE,
	KW_CONTROL, /* return, else, goto...: cannot be a type */
	KW_GOTO,
	KW_ASM,
	KW_ATTRIBUTE, /* takes a parenthesis, and is not the declared name */
};

/* Once before any of the look-ups below. */
void keywords_init(void);
enum keyword keyword_of(uint64_t hash);

/* Directives, by the hash of their name. */
enum directive { DIR_OTHER, DIR_DEFINE, DIR_INCLUDE, DIR_IF, DIR_ELSE, DIR_ENDIF };

enum directive directive_of(uint64_t hash);

#endif
