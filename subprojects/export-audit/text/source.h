/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef SOURCE_H
#define SOURCE_H

/* A file of a tree: where it is, and the facts about it. */

#include "text/blob.h"

struct source_file {
	const char *path;        /* relative to the root of the tree */
	const struct blob *blob; /* its facts */
};

/* Is the file of a tree that was added to the one under judgement? Its options are not known. */
static inline bool path_is_added(const char *path)
{
	return *path == '+';
}

/* Index of the file with this path, or UINT32_MAX. */
uint32_t file_find(const struct source_file *files, uint32_t n_files, const char *path);

#endif
