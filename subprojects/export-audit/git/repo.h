/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef REPO_H
#define REPO_H

/*
 * A git repository, read through libgit2; no work tree is needed and nothing is written
 * to it.  Functions that fail have told the user why (complain()) and return -errno.
 */

#include <stdbool.h>
#include <stdint.h>

#include <git2.h>

struct repo {
	git_repository *git;
	char *path;              /* of the git directory */
	bool shallow;            /* its history is cut off somewhere */
	const char *name;        /* as the user called it */
	git_odb_backend *memory; /* written objects are only here; or NULL */
};

/* Ownership: *out is to be given to repo_close(); NAME is borrowed. */
int repo_open(const char *name, struct repo *out);
void repo_close(struct repo *r);
/* Return: 0; -EINVAL, after a complaint, for a shallow clone. */
int repo_want_history(const struct repo *r);

struct release {
	char *tag;
	char *alias; /* another release tag of the same commit, or NULL */
	git_oid commit, tree;
	unsigned int major, minor, pre; /* pre: of a release candidate; 0 for the release itself */
	unsigned int more[2];           /* further numbers, where a pattern chose the tags */
	unsigned int window;            /* counts merge windows; only differences mean anything */
};

struct releases {
	struct release *v;
	size_t n, cap;
};

/*
 * The tags vX.Y (v2.6.X before 3.0), with PRE also vX.Y-rcZ, in the order of versions.
 * Two tags of one commit are one release, the lower version its name.
 * PATTERN, or NULL: instead those that are like it and have a version where its * is; between two
 * of them lies one window.
 */
int repo_releases(struct repo *r, const char *pattern, bool pre, struct releases *out);
void releases_free(struct releases *v);
/* Keeps FROM..TO (NULL: no limit); both may be any name git resolves to a release's commit. */
int releases_limit(struct repo *r, struct releases *v, const char *from, const char *to);

/* Resolves any name of a commit. */
int repo_commit(struct repo *r, const char *name, git_oid *commit);
int repo_tree_of(struct repo *r, const git_oid *commit, git_oid *tree);

/*
 * The object at PATH in TREE.  Return: 0; -ENOENT, quietly, when it is not there or no
 * file; another -errno after a complaint.
 */
int repo_lookup(struct repo *r, const git_oid *tree, const char *path, git_oid *id);
/* Return: 0 and a malloc()ed, NUL-terminated *data; -ENOENT, quietly, as above. */
int repo_read(struct repo *r, const git_oid *id, char **data, size_t *len);

/* Says WHAT failed and libgit2's reason; returns -EIO. */
int repo_complain(const struct repo *r, const char *what);

#endif
