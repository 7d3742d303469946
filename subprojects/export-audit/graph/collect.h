/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef COLLECT_H
#define COLLECT_H

/* Finds the symbols of a tree. */

#include "graph/resolve.h"

/* Reads export statements, also those in macros, then finds the files that define the symbols. */
int collect(struct resolver *r);

#endif
