/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef OFFERS_H
#define OFFERS_H

/* What a changed file offers to others, and how it looks. */

#include "gate/gate.h"

/* Does PATH export something that was exported before? */
bool gate_offers(const struct gate *g, const char *path);

/* The shapes of both versions of a changed file; one that is not there or too large has none. */
int gate_shapes(struct gate *g, struct changed_file *c);

/* A header that other modules can include, and that is not for user space. */
bool gate_is_public(const char *path);

/* A file's own header and neighbours of that name, "mm/hmm" of mm/hmm.c, do not consume. */
bool gate_same_stem(const char *a, const char *b);

#endif
