/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef TREES_H
#define TREES_H

/*
 * The trees of a repository, each tree object read once: most folders of a release are those of
 * the release before it.  Context: one thread.
 */

#include "text/blob.h"
#include "git/reader.h"
#include "git/repo.h"

struct trees;

int trees_new(struct repo *r, struct reader *reader, struct trees **out);
void trees_free(struct trees *t);

struct tree_file {
	const char *path;
	git_oid id;
	enum blob_kind kind;
};

struct tree_files {
	struct tree_file *v;
	size_t n, cap;
	char *names; /* owns all paths */
	size_t names_n, names_cap;
};

/*
 * All files of TREE that the scanner reads, in path order.  Return: 0, or -errno after a complaint.
 */
int trees_list(struct trees *t, const git_oid *tree, struct tree_files *out);
void tree_files_free(struct tree_files *t);

/*
 * The same in no particular order, and without the folders that an earlier call listed at the same
 * path.
 */
int trees_list_new(struct trees *t, const git_oid *tree, struct tree_files *out);

#endif
