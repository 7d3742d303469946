/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef NAMES_H
#define NAMES_H

/* The identifiers of a C text, comments and strings left out. */

#include <stdbool.h>
#include <stddef.h>

struct names {
	char **v; /* sorted, each once */
	size_t n, cap;
};

/* Return: 0 or -ENOMEM. */
int names_of(const char *text, size_t len, struct names *out);
bool names_have(const struct names *n, const char *name);
void names_free(struct names *n);

#endif
