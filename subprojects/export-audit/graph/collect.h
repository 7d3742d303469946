/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef COLLECT_H
#define COLLECT_H

/* The symbols of a tree. */

#include "graph/resolve.h"

/* From export statements, those in macros too; then who defines them. */
int collect(struct resolver *r);

#endif
