/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef SECTION_H
#define SECTION_H

/* The part of a diff that is about one file. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct section {
	char *old_path, *new_path;   /* NULL: not there */
	uint32_t old_mode, new_mode; /* 0: not said */
	bool copied;                 /* the old one stays */
	bool binary;                 /* the change is no text */
	const char *start, *hunks, *end;
};

/* Does one begin here?  The text ends with a NUL. */
bool section_starts(const char *s, const char *end);
/*
 * Reads it up to its hunks, which are behind s->hunks.  Return: 0; -EINVAL: no such thing; -ENOMEM.
 */
int section_read(const char *s, const char *end, struct section *out);
void section_free(struct section *s);

#endif
