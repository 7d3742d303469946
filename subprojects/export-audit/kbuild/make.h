/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef MAKE_H
#define MAKE_H

/*
 * Enough of make to know which objects a kernel Makefile lists: variables, the text
 * functions that lists are built with, includes. Every branch of a conditional is taken
 * and every CONFIG_ is "m" if it can be, else "y": the question is what can be linked
 * together, not what is.
 */

#include <stddef.h>

struct make_var {
	char *name, *value;
};

struct make {
	const char *dir; /* of the Makefile, without a slash at the end; "" for the root */
	struct make_var *vars;
	size_t n_vars, cap_vars;
	/* text of an included file by its path from the root, or NULL */
	const char *(*include)(void *priv, const char *path);
	/* what an option is at most: 'm', 'y' or 'n' */
	char (*option)(void *priv, const char *name, size_t len);
	void *priv;
	int depth;     /* of includes and expansions */
	size_t budget; /* bytes that may still be expanded: a guard against recursion */
};

int make_init(struct make *m, const char *dir);
int make_eval(struct make *m, const char *text);
const char *make_get(const struct make *m, const char *name);
void make_fini(struct make *m);

/* Joins dir and path ("/x" is from the root), resolves . and ..; into out, "" if it leaves the
 * root. */
void make_path(const char *dir, const char *path, char *out, size_t size);

#endif
