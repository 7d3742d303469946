// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Paths in a tree, and patterns for them. */
#include "base/path.h"

#include <fnmatch.h>
#include <string.h>

bool path_matches(const char *pattern, const char *path)
{
	size_t n = strlen(pattern);

	if (strpbrk(pattern, "*?["))
		return !fnmatch(pattern, path, 0);
	return !strncmp(pattern, path, n) &&
	       (!path[n] || path[n] == '/' || (n && pattern[n - 1] == '/'));
}
