/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef PASTE_H
#define PASTE_H

/* Uses of names that macros build. */

#include "graph/resolve.h"

/* Fills symbol.pasted; where a use is only possible, the reason of the symbol says so. */
int consume_pasted(struct resolver *r);

#endif
