/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef SPAN_H
#define SPAN_H

/* Parts of a text, and where its lines end. */

#include <stdbool.h>
#include <stddef.h>

/* A part of a text that somebody else owns. */
struct span {
	const char *s, *end;
};

/* The start of the next line, or END. */
const char *span_line_end(const char *s, const char *end);

/* Does S begin with WITH? */
bool span_starts(const char *s, const char *end, const char *with);

#endif
