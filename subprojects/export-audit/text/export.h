/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef EXPORTS_H
#define EXPORTS_H

/*
 * The export macros that mean the same in every tree, and their arguments. Macros that
 * wrap them are expanded by the resolver.
 */

#include "text/blob.h"

struct export_macro {
	const char *name;
	enum licence licence;
	enum variant variant;
	int ns_arg; /* which argument is the namespace, or the modules; 0: none */
};

/* NULL if the macro is not one of them. */
const struct export_macro *export_macro(const char *name, size_t len);

/* Is it __EXPORT_SYMBOL(name, "licence", namespace), what the others are made of? */
bool raw_export(const char *name, size_t len);

/* Functions that take the name of a symbol as a string; NULL at the end. */
extern const char *const lookup_functions[];

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
