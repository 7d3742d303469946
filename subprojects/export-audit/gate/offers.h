/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef OFFERS_H
#define OFFERS_H

/* What a changed file offers to others, and its shape before and after. */

#include "gate/gate.h"

/* Does PATH export something that was exported before? */
bool gate_offers(const struct gate *g, const char *path);

/* Reads the shapes of both versions of a file; a missing or very large version has none. */
int gate_shapes(struct gate *g, struct changed_file *c);

/* Can other modules include it? Headers for user space do not count. */
bool gate_is_public(const char *path);

/*
 * Do both have one name but for the suffix, as mm/hmm.c and mm/hmm.h? They do not consume each
 * other.
 */
bool gate_same_stem(const char *a, const char *b);

#endif
