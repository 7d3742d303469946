/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WORDS_H
#define WORDS_H

/* Lists of words, and what make does with them. */

#include <stdbool.h>
#include <stddef.h>

struct words {
	char *s;
	size_t n, cap;
	bool oom;
};

/* Appends text. */
void words_put(struct words *t, const char *s, size_t n);

/* Appends a blank and a word. */
void words_add(struct words *out, const char *s, size_t n);

/* Next word of *s; its length, 0 at the end. */
size_t words_next(const char **s);

/* The text functions of make, each appended to out. */
void words_patsubst(const char *from, const char *to, const char *list, struct words *out);
void words_subst(const char *from, const char *to, const char *s, struct words *out);
void words_affix(const char *fix, const char *list, bool before, struct words *out);
void words_filter(const char *patterns, const char *list, bool want, struct words *out);

#endif
