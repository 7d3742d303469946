/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef VARS_H
#define VARS_H

/* The variables of a Makefile, as far as it was read. */

#include <stdbool.h>
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

const char *make_get(const struct make *m, const char *name);

/* Sets the variable, or appends to it.  Return: 0 or -ENOMEM. */
int make_set(struct make *m, const char *name, const char *value, bool append);

/* Takes n bytes from the budget; false if it is used up, and the text is left as it is. */
bool make_spend(struct make *m, size_t n);

#endif
