/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef DIRECT_H
#define DIRECT_H

/* Files that name a symbol. */

#include "graph/resolve.h"

/* Fills symbol.direct. */
int consume_direct(struct resolver *r);

#endif
