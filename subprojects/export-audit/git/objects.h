/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef OBJECTS_H
#define OBJECTS_H

/*
 * Where the objects of a repository are. Some hundred thousand are read in one run, so packs are
 * read here, in the order of their bytes; other objects come through libgit2.
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
 * From now on readers also find objects that this program wrote to memory. MEMORY is borrowed, and
 * may be NULL.
 */
void objects_memory(struct objects *o, git_odb_backend *memory);
/* Gives the memory of the packs back; the kernel reads them again when they are used. */
void objects_trim(const struct objects *o);

#define OBJECTS_LOOSE UINT64_MAX

/* Where an object is; reading in this order is fastest.  OBJECTS_LOOSE: it is in no pack. */
uint64_t objects_place(const struct objects *o, const git_oid *id);

#endif
