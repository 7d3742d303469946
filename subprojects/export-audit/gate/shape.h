/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef SHAPE_H
#define SHAPE_H

/*
 * The shape of C text, as far as it is seen without a compiler: parameters of functions, calls,
 * members of structures, and whether these are read or written. Used to compare two versions of a
 * file; a construct that is not understood is left out.
 */

#include <stdbool.h>
#include <stddef.h>

#include "text/args.h"

/*
 * The text without comments, without preprocessor lines and with empty strings. Behind it are the
 * bodies of macros, each in braces.
 */
struct shape {
	char *code; /* NUL-terminated */
};

/* Return: 0 or -ENOMEM. */
int shape_new(const char *text, size_t len, struct shape *out);
void shape_free(struct shape *s);

#define SHAPE_ARGS 32u

/* The parameters of the function NAME; false if it is not defined here. (void) has none. */
bool shape_parameters(const struct shape *s, const char *name, struct arg *args, size_t *n);

/* Where a walk is; zero at first. */
struct shape_at {
	size_t at;
	int depth; /* of braces */
};

/* The arguments of the next call of NAME, in a function or a macro. */
bool shape_call(const struct shape *s, const char *name, struct shape_at *at, struct arg *args,
		size_t *n);

/* The next structure that is defined from *at on: its tag, and the text between its braces. */
bool shape_struct(const struct shape *s, size_t *at, struct arg *tag, struct arg *body);

/*
 * The next member in BODY from *at on. Members of an inner structure without a name count as
 * members of the outer one.
 */
bool shape_member(const struct arg *body, size_t *at, struct arg *name);

struct access {
	unsigned int reads, writes;
};

/* How often members of that name are read and written; taking the address counts as both. */
void shape_access(const struct shape *s, const struct arg *member, struct access *out);

/* Is the word in the text? */
bool shape_has(const struct arg *text, const char *word, size_t len);

#endif
