/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef TREE_H
#define TREE_H

/* The files of source trees on disk and the facts of each. Symlinks are not followed. */

#include "text/source.h"

struct tree {
	struct source_file *files; /* sorted by path; own their paths and blobs */
	uint32_t n_files;
	uint32_t n_unreadable; /* files that could not be read, left out */
	uint64_t bytes;
};

/*
 * Reads and scans everything blob_kind() wants below root, and below other roots: the files of
 * those have paths that begin with "+NAME/", NAME being the last part of their root.
 * Return: 0; -ENOENT, -ENOTDIR, -EACCES...: *failed, a root, cannot be read; -EINVAL: it has no
 * Makefile; -EEXIST: another one has its name; -ENOMEM.
 */
int tree_scan(const char *root, const char *const *others, size_t n_others, unsigned int threads,
	      struct tree **out, const char **failed);
void tree_free(struct tree *t);

#endif
