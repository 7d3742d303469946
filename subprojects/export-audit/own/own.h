/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef OWN_H
#define OWN_H

/*
 * The rule for the symbols of a library. Each has a consumer in the tree that is neither the
 * library nor a test. A symbol outside the experimental node has a consumer that is no example
 * either. The map, the sources and the public headers agree on the symbols.
 */

#include "own/map.h"
#include "graph/resolve.h"

enum user { USER_LIBRARY, USER_TEST, USER_EXAMPLE, USER_PROGRAM, USERS };

struct own_symbol {
	const char *name, *node; /* node: the last that lists it; "" in an anonymous script */
	bool in_map;             /* else it is only in a header */
	uint32_t line;           /* in the map, or in the header */
	const char *header;      /* that declares it, or NULL */
	const char *defined_in;  /* or NULL */
	bool experimental;
	struct vec users[USERS]; /* uint32_t: files */
	const char *finding;     /* what is wrong with it, or NULL */
	bool pending;            /* said to be known: its finding does not count */
};

struct own {
	struct source_file *files; /* sorted by path; own their paths and blobs */
	uint32_t n_files;
	struct map map;
	struct own_symbol *symbols;
	uint32_t n_symbols, n_findings;
	size_t cap_symbols;
	uint32_t n_unjudged;  /* C++ names in the map */
	struct vec declared;  /* struct declaration */
	struct vec versioned; /* the same: names in directives that give versions, and others */
	bool *is_library;     /* by file */
	uint32_t first_other; /* files from here on are of q->consumers */
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
	const char *experimental;     /* part of the name of nodes that may have examples only */
	const char *const *library;   /* folders below root that are linked into it */
	uint32_t n_library;           /* 0: the map's and those with definitions */
	const char *const *consumers; /* other folders whose files are all consumers */
	uint32_t n_consumers;
};

/* Reads the tree below q->root into o->files. -errno of the root, or of *failed; -ENOMEM. */
int own_read(const struct own_request *q, struct own *o, const char **failed);
/* Judges; o->map and o->files are there. 0 or -ENOMEM. */
int own_judge(const struct own_request *q, struct own *o);
void own_fini(struct own *o);

/* Names that a text like ".symver new_1, new@LIB_1.0" or a macro of that name is about. */
int own_versioned(const char *text, size_t len, uint32_t file, struct vec *out);

/*
 * In symbols.c: adds the names of the map; then, once the library's files are known, its patterns.
 */
int own_add(struct own *o, const struct own_symbol *s);
int own_names(const struct own_request *q, struct own *o, struct hmap *names);
int own_patterns(const struct own_request *q, struct own *o, struct hmap *names);
/* Does the node list the symbol, or a version of it? */
bool own_in_node(const struct own *o, const struct own_symbol *s, const char *node);

/* Names of functions and variables that a header's text declares; appended to out. */
int own_declarations(const char *text, size_t len, uint32_t file, struct vec *out);

#endif
