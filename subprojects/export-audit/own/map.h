/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef MAP_H
#define MAP_H

/* A linker version script: which names a shared library exports, and in which node. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum map_kind {
	MAP_NAME,
	MAP_PATTERN, /* with *, ? or [; what a template has between @ and @ is a * */
	MAP_CXX      /* of extern "C++": a name or pattern before mangling */
};

struct map_symbol {
	char *name;
	char *node; /* "" for an anonymous script */
	uint32_t line;
	enum map_kind kind;
	bool local; /* under "local:"; "*" is not listed */
};

/* In the order of the script.  A name may be there once in each node: it has versions then. */
struct map {
	struct map_symbol *symbols;
	size_t n;
};

/*
 * Reads path. *line is where the trouble is.
 * Return: 0; -errno of the read; -EINVAL: it is not a version script; -EEXIST: a name twice in
 * one node.
 */
int map_read(const char *path, struct map *out, uint32_t *line);
void map_fini(struct map *m);

#endif
