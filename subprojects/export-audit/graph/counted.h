/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef COUNTED_H
#define COUNTED_H

/*
 * In REPEAT(CALL) a file hands one macro to another, which calls it many times. Expansion tells
 * which names that makes. Used by paste.c.
 */

#include "graph/resolve.h"

struct counted;

int counted_new(struct resolver *r, struct counted **out);
void counted_free(struct counted *c);

/* Does the file make NAME that way?  Return: 1, 0, -EAGAIN if that is not known, or -ENOMEM. */
int counted_names(struct counted *c, uint32_t file, uint32_t macro, uint64_t name);

#endif
