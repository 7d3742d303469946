/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WALK_H
#define WALK_H

/* Walks over code: words, blanks, brackets. Used by shape.c, call.c and struct.c. */

#include <stdbool.h>
#include <stddef.h>

/* A walk over words that counts braces. A closing brace in the first column ends all blocks. */
struct walk {
	const char *start, *p;
	int depth;
};

bool is_blank(char c);
bool is_word_char(char c);

/* Finds the next word. Returns its length; 0 at the end. */
size_t walk_word(struct walk *w, const char **word);

/* Skips the blanks at p. */
const char *walk_blanks(const char *p);

/* The place after the bracket that closes the one at p; NULL if none does. */
const char *walk_closed(const char *p);

#endif
