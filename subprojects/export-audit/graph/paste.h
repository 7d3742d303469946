/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef PASTE_H
#define PASTE_H

/* Names that macros build. */

#include "graph/resolve.h"

/* Fills symbol.pasted, and undecided where unsure. */
int consume_pasted(struct resolver *r);

#endif
