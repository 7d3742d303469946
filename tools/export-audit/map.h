/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef MAP_H
#define MAP_H

/* A linker version script: which names a shared library exports, and in which node. */

#include <stddef.h>
#include <stdint.h>

struct map_symbol {
	char *name;
	char *node; /* "" for an anonymous script */
	uint32_t line;
};

struct map {
	struct map_symbol *symbols;
	size_t n;
};

/*
 * Reads path. *line is where the trouble is.
 * Return: 0; -errno of the read; -EINVAL: it is not a version script; -ENOTSUP: it exports
 * by a pattern, so that nobody can say what; -EEXIST: a name twice.
 */
int map_read(const char *path, struct map *out, uint32_t *line);
void map_fini(struct map *m);

#endif
