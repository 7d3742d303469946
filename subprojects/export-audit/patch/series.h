/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef SERIES_H
#define SERIES_H

/*
 * A series of patches on top of a commit: commits of a range, or mails that are applied
 * in memory.  Nothing is written to the repository.
 * Functions that fail have complained and return -errno.
 */

#include "git/repo.h"

struct trailer {
	char *kind; /* "acked-by" and so on, in lower case */
	char *name, *address;
};

struct patch {
	char *id; /* commit, or "patch 3" */
	char *subject;
	char *name, *address;  /* of the author */
	git_oid before, after; /* trees; before is zero for a commit without parents */
};

struct series {
	struct patch *v;
	size_t n, cap;
	struct trailer *trailers; /* of all patches, and of the replies in a mailbox */
	size_t n_trailers, c_trailers;
	git_oid base, before, after; /* the commit it is based on; trees */
};

/* RANGE: "BASE..HEAD"; the series is what HEAD has beyond its merge base with BASE. */
int series_of_range(struct repo *r, const char *range, struct series *out);
/* MBOX: a file, "-" for stdin; BASE: a commit, or NULL: the one that the mails name. */
int series_of_mbox(struct repo *r, const char *mbox, const char *base, struct series *out);
void series_free(struct series *s);

/* Adds the "Something-by: Name <address>" lines of TEXT.  Return: 0 or -ENOMEM, quietly. */
int series_add_trailers(struct series *s, const char *text, size_t len);

#endif
