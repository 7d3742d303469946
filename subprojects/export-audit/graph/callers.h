/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef CALLERS_H
#define CALLERS_H

/* Which macros call a macro. Used by paste.c. */

#include "graph/match.h"

#define CALLERS 48u /* through which one macro is looked for */

struct callers {
	uint32_t n;
	uint64_t macros[CALLERS];
};

/* Which macros call each macro: a list for each, all in one pool. */
struct calling {
	struct hmap of; /* macro to a list in pool */
	struct vec pool;
	struct hmap known; /* macro to its place in found, once asked for */
	struct vec found;
};

/*
 * Finds the callers of the macros of all matches.  Return: 0 or -ENOMEM; calling_fini() must be
 * called either way.
 */
int calling_find(struct resolver *r, const struct matches *p, struct calling *n);
void calling_fini(struct calling *n);

/*
 * All macros through which the macro may be called; the first is the macro itself. Valid until the
 * next call. NULL if there is no memory.
 */
const struct callers *callers_of(struct calling *n, uint64_t macro);

#endif
