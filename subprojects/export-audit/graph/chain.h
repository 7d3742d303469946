/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef CHAIN_H
#define CHAIN_H

/*
 * Names that macros build. A chain, as in "foo_ ## x ## _bar", is a row of literal text and
 * parameters that a macro joins. Used by match.c, callers.c and paste.c.
 */

#include "graph/resolve.h"

#define PIECES 7
#define HALF 8192u              /* buckets by the head of a name, and by its tail */
#define BUCKETS (2 * HALF + 1u) /* and one for names of which neither is known */
#define KEY 8u                  /* characters, at most, that tell buckets apart */

enum piece_kind { PIECE_LITERAL, PIECE_PARAM, PIECE_OPERAND /* %c0 in asm: a number */ };

struct piece {
	const char *s;
	uint32_t len;
	enum piece_kind kind;
};

struct chain {
	uint64_t macro;
	uint32_t entity;
	uint32_t n, literal;
	uint32_t bucket;
	struct piece pieces[PIECES];
};

/* Appends the chains in the body of the macro E.  Return: 0 or -ENOMEM. */
int chains_read(struct resolver *r, uint32_t e, struct vec *chains);

/* The bucket of names that begin, or end, with these characters. */
uint32_t chain_key(const char *s, size_t n);

/* Does it consist of parameters only, as a ## b? */
bool chain_is_bare(const struct chain *c);

#endif
