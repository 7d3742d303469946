/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef APPLY_H
#define APPLY_H

/*
 * Applies a diff to a tree, as git am would: hunks may have moved; files may be added, removed,
 * moved and get another mode. The result is written through the repository, so to memory if that
 * writes there.
 */

#include "git/repo.h"

/* The place where the first diff of a text begins, or NULL. */
const char *diff_find(const char *s, size_t len);

#define APPLY_WHY 512

/*
 * BEFORE is a tree.  TEXT ends with a NUL.
 * Return: 0 and *after; -EINVAL and one clause in WHY; -ENOMEM.
 */
int diff_apply(struct repo *r, const git_oid *before, const char *text, size_t len, git_oid *after,
	       char why[APPLY_WHY]);

#endif
