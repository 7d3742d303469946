/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef INCLUDE_H
#define INCLUDE_H

/*
 * Which file sees which: #include lines, resolved without the search path of a compiler. Where an
 * #include may mean several files, all that fit best count: to see too much may make a symbol look
 * consumed, never unconsumed.
 */

#include "text/source.h"

struct includes {
	uint32_t n_files;
	uint32_t *first, *targets;   /* edges: targets[first[f] .. first[f + 1]) */
	uint32_t *rfirst, *rsources; /* the same, backwards */
	uint32_t *id;                /* of included files, dense; UINT32_MAX for others */
	uint32_t n_ids;
	uint64_t **closure; /* by id: bits by id; shared within a cycle */
	uint32_t *scc;      /* by id: the file whose closure it shares, and which owns it */
};

int includes_read(const struct source_file *files, uint32_t n_files, struct includes **out);
void includes_free(struct includes *i);

/* Does file f include h, directly or not? */
bool includes_sees(const struct includes *i, uint32_t f, uint32_t h);

#endif
