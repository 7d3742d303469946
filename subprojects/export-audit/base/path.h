/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef PATH_H
#define PATH_H

/* Paths in a tree. */

#include <stdbool.h>

/* Is the path the pattern, below it, or (with *, ? or [ in the pattern) matched by it? */
bool path_matches(const char *pattern, const char *path);

#endif
