/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef OWN_H
#define OWN_H

/*
 * A library's rule for its own symbols: each has a consumer in the tree that is neither
 * the library nor a test; one outside the experimental node has a consumer that is no
 * example either; what the map, the sources and the public headers say agrees.
 */

#include "map.h"
#include "resolve.h"

enum user { USER_LIBRARY, USER_TEST, USER_EXAMPLE, USER_PROGRAM, USERS };

struct own_symbol {
	const char *name, *node; /* node "": only in a header */
	uint32_t line;           /* in the map, or in the header */
	const char *header;      /* that declares it, or NULL */
	const char *defined_in;  /* or NULL */
	bool experimental;
	struct vec users[USERS]; /* uint32_t: files */
	const char *finding;     /* what is wrong with it, or NULL */
	bool pending;            /* said to be known: its finding does not count */
};

struct own {
	struct graph_file *files; /* sorted by path; own their paths and blobs */
	uint32_t n_files;
	struct map map;
	struct own_symbol *symbols;
	uint32_t n_symbols, n_findings;
	struct vec declared; /* struct declaration */
	bool *is_library;    /* by file */
	struct includes *includes;
	char *pending; /* text: a symbol at the start of a line, then why; or NULL */
};

struct declaration {
	char *name;
	uint32_t file, line;
};

struct own_request {
	const char *root, *map, *headers; /* headers: folder below root */
	const char *release;              /* judge this node only, or NULL */
	const char *pending;              /* file, or NULL */
	const char *experimental;   /* part of the name of nodes that may have examples only */
	const char *const *library; /* folders below root that are linked into it */
	uint32_t n_library;         /* 0: the map's and those with definitions */
};

/* Reads the tree below q->root into o->files. -errno of the root; -ENOMEM. */
int own_read(const struct own_request *q, struct own *o);
/* Judges; o->map and o->files are there. 0 or -ENOMEM. */
int own_judge(const struct own_request *q, struct own *o);
void own_fini(struct own *o);

/* Names of functions and variables that a header's text declares; appended to out. */
int own_declarations(const char *text, size_t len, uint32_t file, struct vec *out);

#endif
