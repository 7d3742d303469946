/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef SCANNER_H
#define SCANNER_H

/* What the parts of the scanner share: preprocessor, C, assembly, Rust. Private to them. */

#include "text/expr.h"

enum mode {
	MODE_TOP,    /* file scope, between the parts of a declaration */
	MODE_ARGS,   /* arguments of a macro at file scope */
	MODE_PARAMS, /* parameters of a function */
	MODE_SKIP,   /* attribute, array size, declarator in parentheses */
	MODE_BODY,
	MODE_INIT,
	MODE_TYPE, /* members of a struct, union or enum */
};

/* Position in the grammar; saved at #if and restored at #else. */
struct cstate {
	enum mode mode;
	int prev; /* at file scope */
	uint32_t depth;
	uint32_t idents; /* names and types of the declaration so far */
	bool is_static, is_inline, is_extern, is_typedef, is_weak, aggregate, declared, invoked,
		attribute;
	bool fn_open; /* a header's inline function owns the references */
	struct token last, declarator, macro;
	const char *args;
	uint32_t line, macro_line;
	struct expr expr;
	/* an if () of a function that asks for an option; see scan_if() */
	uint8_t if_stage;
	bool if_option;
	uint32_t if_paren, if_depth, if_guard;
	const char *if_text;
};

/*
 * A conditional of the preprocessor: the guard around it, and the condition of the present branch.
 */
struct branch {
	uint32_t around, within; /* within: around, and the branches before do not hold */
	bool option, is_name, negated;
	const char *text;
	size_t len;
};

#define COND_DEPTH 48
#define ARGS_LIMIT 4096
#define BODY_LIMIT 8192

struct blob_scanner {
	struct facts facts;
	struct lex lex;
	enum blob_kind kind;
	struct cstate c, saved[COND_DEPTH];
	struct branch branches[COND_DEPTH];
	uint32_t conds;
	uint32_t guard; /* of the preprocessor alone */
	struct locals locals, params;
};

void scan_directive(struct blob_scanner *s);
/* In cond.c: sets the guard that holds after this #if, #elif, #else or #endif. */
void scan_guard(struct blob_scanner *s, enum directive d, const struct token *t,
		const struct lex *expression);
/* Before and after a token of a function's body: if (IS_ENABLED(CONFIG_X)) ... */
void scan_if(struct blob_scanner *s, const struct token *t);
void scan_if_end(struct blob_scanner *s, const struct token *t);
void scan_c(struct blob_scanner *s);
void scan_asm(struct blob_scanner *s);
void scan_rust(struct blob_scanner *s);

/*
 * In declare.c: a macro with arguments at file scope. It exports, or the resolver expands it later.
 */
void scan_invocation(struct blob_scanner *s, const struct token *macro, const char *args,
		     size_t len, uint32_t line);
void scan_def(struct blob_scanner *s, const char *name, size_t len, uint64_t hash, uint32_t line,
	      uint32_t flags);
/* Ends the header's inline function that is open. */
void scan_close_inline(struct blob_scanner *s, struct cstate *c);

#endif
