/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef COUNTED_H
#define COUNTED_H

/*
 * A macro that is handed to another which calls it many times, REPEAT(CALL): what a file
 * names by that, found by expanding it. Used by paste.c only.
 */

#include "graph/resolve.h"

struct counted;

int counted_new(struct resolver *r, struct counted **out);
void counted_free(struct counted *c);

/* Does the file name it so? 1 or 0; -EAGAIN: cannot tell; -ENOMEM. */
int counted_names(struct counted *c, uint32_t file, uint32_t macro, uint64_t name);

#endif
