/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef OBJECTS_H
#define OBJECTS_H

/*
 * The objects of a repository, to be read by the hundred thousand: from its packs, and what
 * is not in a pack that can be read here, through libgit2.
 */

#include <git2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "git/pack.h"

#define PACK_SHIFT 48 /* a place is the number of a pack and an offset in it */

struct objects {
	struct pack *packs;
	size_t n, cap;
	char **dirs; /* where loose objects are */
	size_t n_dirs, cap_dirs;
	git_odb_backend *memory;
	bool foreign; /* a pack whose index is of another version: libgit2 reads it */
};

/* GIT is borrowed for the call.  Return: 0 or -ENOMEM. */
int objects_open(git_repository *git, struct objects **out);
void objects_close(struct objects *o);
/*
 * Objects that were only ever written to memory are found too.  MEMORY is borrowed; NULL: there are
 * none.
 */
void objects_memory(struct objects *o, git_odb_backend *memory);
/* Lets go of the memory that the packs take; it comes back when they are read. */
void objects_trim(const struct objects *o);

#define OBJECTS_LOOSE UINT64_MAX

/* Where an object is; those read in this order are read fastest.  OBJECTS_LOOSE: in no pack. */
uint64_t objects_place(const struct objects *o, const git_oid *id);

#endif
