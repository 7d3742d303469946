/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef READER_H
#define READER_H

/* Reading objects. Each thread has a reader. */

#include "git/objects.h"

struct reader;

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
