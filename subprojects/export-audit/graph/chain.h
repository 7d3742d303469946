/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef CHAIN_H
#define CHAIN_H

/*
 * Names that macros build: the chain of a macro, "foo_ ## x ## _bar", is text of its own and
 * parameters in turn. Used by paste.c and what it calls.
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

/* Appends the chains in the body of a macro, an entity. */
int chains_read(struct resolver *r, uint32_t e, struct vec *chains);

/* The bucket of names that begin, or end, with these characters. */
uint32_t chain_key(const char *s, size_t n);

/* Is it a ## b: nothing but parameters? */
bool chain_is_bare(const struct chain *c);

#endif
