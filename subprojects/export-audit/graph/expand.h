/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef EXPAND_H
#define EXPAND_H

/* Expansion of macros. */

#include "graph/resolve.h"

/*
 * Text of an invocation in the file with macros expanded, alternative
 * definitions one after the other; to out, NUL-terminated.
 */
int expand_invocation(struct resolver *r, uint32_t file, const char *macro, const char *args,
		      struct vec *out);

#endif
