/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef MATCH_H
#define MATCH_H

/* Which chains fit which names. Used by callers.c and paste.c. */

#include "graph/chain.h"

struct match {
	uint32_t symbol;
	uint32_t chain;
	uint32_t end; /* all bare chains from chain to this one fit; 0: chain alone does */
	uint32_t n_args, literal;
	uint64_t arg[2];
	bool counted; /* an argument is a number: it may come from a list made by macros */
};

struct matches {
	struct vec chains;           /* struct chain, sorted by bucket */
	uint32_t start[BUCKETS + 1]; /* in chains, by bucket */
	struct vec v;                /* struct match */
};

/*
 * Matches all chains of the tree with the names of all symbols that still lack a modular consumer.
 * Return: 0 or -ENOMEM; matches_fini() must be called either way.
 */
int matches_find(struct resolver *r, struct matches *out);
void matches_fini(struct matches *m);

#endif
