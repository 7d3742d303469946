/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef SHAPE_H
#define SHAPE_H

/*
 * The shape of C text, as far as it can be told without a compiler: parameters of functions,
 * calls, members of structures and what is done with them.  For two versions of a file that are
 * compared; what cannot be told is left out.
 */

#include <stdbool.h>
#include <stddef.h>

#include "text/args.h"

/*
 * The text without comments, preprocessor lines and what is in strings; bodies of macros
 * follow, each in braces.
 */
struct shape {
	char *code; /* NUL-terminated */
};

/* Return: 0 or -ENOMEM. */
int shape_new(const char *text, size_t len, struct shape *out);
void shape_free(struct shape *s);

#define SHAPE_ARGS 32u

/* The parameters of NAME where it is defined; false: it is not.  None, too, for (void). */
bool shape_parameters(const struct shape *s, const char *name, struct arg *args, size_t *n);

/* Where a walk is; zero at first. */
struct shape_at {
	size_t at;
	int depth; /* of braces */
};

/* The arguments of the next call of NAME, in a function or a macro. */
bool shape_call(const struct shape *s, const char *name, struct shape_at *at, struct arg *args,
		size_t *n);

/* The next structure defined from *at on: its tag and what is between the braces. */
bool shape_struct(const struct shape *s, size_t *at, struct arg *tag, struct arg *body);

/*
 * The next member in BODY from *at on.  Those of structures without a name within are the outer
 * one's.
 */
bool shape_member(const struct arg *body, size_t *at, struct arg *name);

struct access {
	unsigned int reads, writes;
};

/* What is done with members of that name; one whose address is taken is read and written. */
void shape_access(const struct shape *s, const struct arg *member, struct access *out);

/* Is the word in the text? */
bool shape_has(const struct arg *text, const char *word, size_t len);

#endif
