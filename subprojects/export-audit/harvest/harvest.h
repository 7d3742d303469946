/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef HARVEST_H
#define HARVEST_H

/*
 * From a tree in a repository to the facts of its files and to its verdicts, through
 * the cache: a blob that was ever scanned, and a tree that was ever resolved, is not
 * read again.  Functions that fail have complained and return -errno.
 */

#include "graph/graph.h"
#include "git/objects.h"
#include "git/repo.h"
#include "cache/store.h"
#include "graph/summary.h"
#include "git/trees.h"

#define HARVEST_THREADS 4u /* at most: a tree being resolved takes 150 MB */

struct harvest {
	struct repo *repo;
	struct store *store;
	struct objects *objects;
	struct reader *reader; /* of the calling thread */
	struct trees *trees;
	unsigned int threads; /* one a processor */
	uint64_t blobs_read;  /* from git, in this run */
	uint64_t trees_resolved;
};

/* CACHE: as store_open().  The repository stays the caller's. */
int harvest_open(struct harvest *h, struct repo *repo, const char *cache);
/* Writes new blocks to the cache. */
void harvest_close(struct harvest *h);

/* A tree's files with their facts, and the verdicts on them. */
struct harvested {
	struct tree_files files;
	struct source_file *facts; /* in the order of files, those without facts left out */
	uint32_t n;
	struct graph *graph;
};

/*
 * Ownership: *out is the caller's, to be freed before harvest_close(), and before another
 * tree is harvested.
 */
int harvest_tree(struct harvest *h, const git_oid *tree, struct harvested *out);
void harvested_free(struct harvested *t);

/*
 * The facts of one blob, borrowed from the cache; PATH decides its kind.  -EINVAL: it is no source
 * file.
 */
int harvest_blob(struct harvest *h, const char *path, const git_oid *id, const struct blob **out);

/* What TREE exports.  Ownership: borrowed from the cache until harvest_close(). */
int harvest_summary(struct harvest *h, const git_oid *tree, const struct summary **out);

/* The same for N trees: all are read before the first is resolved, several at a time. */
int harvest_summaries(struct harvest *h, const git_oid *const *trees, size_t n,
		      const struct summary **out);

#endif
