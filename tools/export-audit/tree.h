/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef TREE_H
#define TREE_H

/* The files of a kernel source tree on disk and the facts of each. Symlinks are not followed. */

#include "graph.h"

struct tree {
	struct graph_file *files; /* sorted by path; own their paths and blobs */
	uint32_t n_files;
	uint32_t n_unreadable; /* files that could not be read, left out */
	uint64_t bytes;
};

/*
 * Reads and scans everything blob_kind() wants below root.
 * Return: 0; -ENOENT, -ENOTDIR, -EACCES...: root cannot be read; -EINVAL: it is no kernel
 * tree; -ENOMEM.
 */
int tree_scan(const char *root, unsigned int threads, struct tree **out);
void tree_free(struct tree *t);

#endif
