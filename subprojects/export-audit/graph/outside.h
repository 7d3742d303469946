/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef OUTSIDE_H
#define OUTSIDE_H

/* Which files count as consumers of a symbol. */

#include "graph/resolve.h"

/* Why a file that names a symbol is no consumer. */
enum pass { PASS_NONE, PASS_ARCH, PASS_UNBUILT, PASS_OPTION, PASS_PROGRAM, PASS_MODULES };

/* Remembers that the file names the symbol and does not count; the strongest reason is kept. */
void pass_over(struct symbol *s, uint32_t file, enum pass why);

/* Do references from this file count for the symbol? */
bool outside(struct resolver *r, struct symbol *s, uint32_t file);

/*
 * The same for a reference that was found: the symbol remembers whether the file can be a module.
 */
bool consumes(struct resolver *r, struct symbol *s, uint32_t file);

#endif
