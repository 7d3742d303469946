/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef HUNK_H
#define HUNK_H

/*
 * A text to which the hunks of a unified diff are applied, as git apply does: all lines of a hunk
 * must be there, but may have moved; the nearest place is taken.
 */

#include <stddef.h>

struct image {
	struct image_line *v;
	size_t n;
	char why[128]; /* why a hunk was refused */
};

/* TEXT is borrowed until image_free().  Return: 0 or -ENOMEM. */
int image_new(const char *text, size_t len, struct image *out);
void image_free(struct image *i);
/*
 * Applies the hunks in S..END, of which there is at least one; the text of them is borrowed too.
 * *STOP is behind the last one.  Return: 0; -EINVAL: the reason is in i->why; -ENOMEM.
 */
int image_apply(struct image *i, const char *s, const char *end, const char **stop);
/* Does a hunk begin here? */
int hunk_starts(const char *s, const char *end);
/* The text as it is now; malloc()ed, or NULL. */
char *image_text(const struct image *i, size_t *len);

#endif
