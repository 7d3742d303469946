/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef ORIGIN_H
#define ORIGIN_H

/* Which commit brought an export: the one to revert. */

#include "harvest/harvest.h"

/*
 * Walks from START, where PATH exports NAME, towards parents that do so too, and stops
 * at the commit none of whose parents does: the one that added the export, or moved it
 * there.  It costs one tree look-up a commit on the way.
 * Return: 0 and *commit; -ENOENT, quietly, when PATH does not say NAME at START.
 */
int origin_find(struct harvest *h, const git_oid *start, const char *path, const char *name,
		git_oid *commit);

/*
 * The same from the releases V, oldest first: those of the newest that PATH exports NAME
 * in without a break are skipped in one step each.  START: as above.
 */
int origin_find_since(struct harvest *h, const struct release *v, size_t n, const git_oid *start,
		      const char *path, const char *name, git_oid *commit);

/* Does PATH export NAME in TREE, as far as its own text says?  1, 0, or -errno. */
int origin_exports(struct harvest *h, const git_oid *tree, const char *path, const char *name);

/* "123456789abc (\"subject\")", as kernel developers quote commits; malloc()ed, or NULL. */
char *origin_quote(struct repo *r, const git_oid *commit);

#endif
