/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GRAPH_H
#define GRAPH_H

/*
 * From the facts of all files of one tree to a verdict for each exported symbol.
 * No I/O. The blobs are borrowed until graph_free(); many graphs may share one blob.
 *
 * Used by: scan (one tree), history (one graph a release), gate (base and head).
 */

#include "text/source.h"

enum verdict { VERDICT_CONSUMED, VERDICT_UNCONSUMED, VERDICT_UNDECIDED, VERDICTS };

struct graph_site {
	uint32_t file; /* index in the files given */
	uint32_t line;
};

struct graph_symbol {
	const char *name;
	const char *ns; /* "" if none */
	enum licence licence;
	enum variant variant;
	enum verdict verdict;
	const char *reason; /* one clause, never NULL */
	/* the same if only what can be a module counts: built-in code needs no export */
	enum verdict modular;
	const char *modular_reason;
	struct graph_site *sites; /* export statements, first in path order */
	uint32_t n_sites;
	uint32_t *definers; /* files that define it */
	uint32_t n_definers;
	/*
	 * Files of other modules or built-in objects, in path order. Those that reach the
	 * symbol through a header's inline function or macro are listed only when no file
	 * names it directly.
	 */
	uint32_t *consumers;
	uint32_t n_consumers;
};

struct graph {
	struct graph_symbol *symbols; /* sorted by name, one a name */
	uint32_t n_symbols;
	uint32_t n_statements; /* export statements, duplicates included */
	/* macros whose expansion was too long: exports may be missing */
	const struct graph_site *cuts;
	uint32_t n_cuts;
	void *priv;
};

/* files sorted by path (strcmp). threads: 0 means one. -ENOMEM, or 0 and *out. */
int graph_resolve(const struct source_file *files, uint32_t n_files, unsigned int threads,
		  struct graph **out);
void graph_free(struct graph *g);
/* Makes the verdicts those that count only what can be a module. */
void graph_modular(struct graph *g);

const struct graph_symbol *graph_find(const struct graph *g, const char *name);
const char *verdict_name(enum verdict v); /* "consumed", ... */

#endif
