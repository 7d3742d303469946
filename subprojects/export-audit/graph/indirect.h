/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef INDIRECT_H
#define INDIRECT_H

/* Files that reach a symbol through macros and inline functions of headers. */

#include "graph/resolve.h"

/* Fills symbol.indirect; with pasted_only, of the symbols that a macro pastes. */
int consume_indirect(struct resolver *r, bool pasted_only);

#endif
