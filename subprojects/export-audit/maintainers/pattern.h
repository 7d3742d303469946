/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef EXPORT_AUDIT_PATTERN_H
#define EXPORT_AUDIT_PATTERN_H

#include <stdbool.h>

#define PATTERN_LITERAL 32

/* Does PATTERN, the value of an F: or X: line, cover the file PATH? */
bool pattern_matches(const char *pattern, const char *path);
/* Higher is more specific: the depth by which get_maintainer orders its answers. */
int pattern_depth(const char *pattern);

/* The longest run of plain characters that every match of RE has; "" where it is not obvious. */
void regex_literal(const char *re, char out[PATTERN_LITERAL]);
/*
 * Perl's notation in POSIX's: only what MAINTAINERS uses, \d and the white space
 * that /x ignores.  Return: malloc()ed, NULL without memory.
 */
char *regex_from_perl(const char *s);

#endif
