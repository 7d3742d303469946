/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef EXPAND_H
#define EXPAND_H

/* Expansion of macros. */

#include "graph/resolve.h"

/*
 * Writes the text of an invocation, with its macros expanded, to out, NUL-terminated. If a macro
 * has several definitions the expansions stand one after the other.
 */
int expand_invocation(struct resolver *r, uint32_t file, const char *macro, const char *args,
		      struct vec *out);

#endif
