/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef ARGS_H
#define ARGS_H

/* Arguments of a macro, and whether one is a word. */

#include <stdbool.h>
#include <stddef.h>

struct arg {
	const char *s;
	size_t len;
};

/* Splits at commas outside parentheses and quotes, trims blanks; returns how many, at most max. */
size_t split_args(const char *s, size_t len, struct arg *args, size_t max);

/* Letters, digits, _ and $; is_identifier() wants no digit in front. */
bool is_word(const char *s, size_t len);
bool is_identifier(const char *s, size_t len);

#endif
