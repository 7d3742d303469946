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

struct objects;
struct reader; /* one a thread */

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

/* GIT and O are borrowed until reader_free(); GIT is used by this thread only. */
int reader_new(const struct objects *o, git_repository *git, struct reader **out);
void reader_free(struct reader *r);

/*
 * *data, with a NUL behind it, is valid until the next read.  Return: 0; -ENOENT: there is no such
 * object, or it is broken; -EFBIG: over a gigabyte; -ENOMEM.
 */
int reader_read(struct reader *r, const git_oid *id, git_object_t type, const char **data,
		size_t *size);
/* The same of an object whose place is known. */
int reader_read_at(struct reader *r, uint64_t place, const git_oid *id, git_object_t type,
		   const char **data, size_t *size);

#endif
