/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef SUMMARY_H
#define SUMMARY_H

/*
 * What one tree exports, in a block without pointers: the result of a resolved graph without its
 * files, a hundred bytes a symbol.  Symbols are sorted by name.
 */

#include "graph/graph.h"

#define SUMMARY_KIND 64u /* in the cache: STORE_PINNED, and above the kinds of blobs */

struct summary_symbol {
	uint32_t name_str, ns_str, reason_str;
	uint32_t consumer_str; /* path of the first one, or 0 */
	uint32_t n_consumers;
	uint32_t paths_str; /* of the export statements: n_paths strings in a row, no path twice */
	uint32_t n_paths;
	uint32_t line; /* of the first statement */
	uint8_t licence, variant, verdict, pad[5];
};

struct summary {
	uint32_t magic, size;
	uint32_t n, pad;
	struct summary_symbol symbols[];
};

static inline const char *summary_str(const struct summary *s, uint32_t str)
{
	return str ? (const char *)s + str : "";
}

/* Return: 0 and a malloc()ed *out, or -ENOMEM. */
int summary_new(const struct graph *g, const struct source_file *files, struct summary **out);
bool summary_valid(const void *block, size_t size);
const struct summary_symbol *summary_find(const struct summary *s, const char *name);
/* Is PATH one of the files with the export statements? */
bool summary_exports_in(const struct summary *s, const struct summary_symbol *sym,
			const char *path);

#endif
