// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Files of a tree, sorted by path. */
#include "text/source.h"

#include <string.h>

uint32_t file_find(const struct source_file *files, uint32_t n_files, const char *path)
{
	uint32_t lo = 0, hi = n_files;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = strcmp(files[mid].path, path);

		if (!c)
			return mid;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return UINT32_MAX;
}
