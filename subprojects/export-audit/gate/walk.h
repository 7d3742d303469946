/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WALK_H
#define WALK_H

/* Walks over code: words, blanks, brackets. Used by the files about shapes only. */

#include <stdbool.h>
#include <stddef.h>

/* A walk over words; a brace in the first column ends everything, whatever the count says. */
struct walk {
	const char *start, *p;
	int depth;
};

bool is_blank(char c);
bool is_word_char(char c);

/* The next word, its length; 0: there is none. */
size_t walk_word(struct walk *w, const char **word);

/* Behind the blanks at p. */
const char *walk_blanks(const char *p);

/* Behind the bracket that closes the one at p; NULL: there is none. */
const char *walk_closed(const char *p);

#endif
