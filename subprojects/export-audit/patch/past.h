/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef PAST_H
#define PAST_H

/*
 * The commits from which a commit descends, as far as the repository has them. In a shallow clone
 * libgit2 would walk into missing parents.
 */

#include "base/hmap.h"
#include "git/repo.h"

struct past {
	git_oid *v; /* parents before their children */
	size_t n, cap;
	bool *cut; /* by commit: a parent of it is not there */
	size_t c_cut;
	struct hmap known;
	bool met;       /* it goes back to commits that were to be left out */
	git_oid newest; /* the newest of those it met */
};

/*
 * FROM and its ancestors, but not WITHOUT (which may be NULL) and the ancestors of that. *out must
 * be given to past_free() in any case.  Return: 0, or -errno after a complaint.
 */
int past_read(struct repo *r, const git_oid *from, const struct past *without, struct past *out);
void past_free(struct past *p);
bool past_has(const struct past *p, const git_oid *id);

/* Is OLD the commit NEW, or an ancestor of it?  1, 0, or -errno after a complaint. */
int past_contains(struct repo *r, const git_oid *new, const git_oid *old);

#endif
