/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef SYMBOLS_H
#define SYMBOLS_H

/* The table of symbols, filled from export statements. */

#include "text/args.h"
#include "graph/resolve.h"

struct statement {
	uint32_t file, line;
	struct arg name, ns;
	uint8_t licence, variant;
	bool tramp, unexpanded;
};

/* Adds a statement; a second statement for a symbol widens its licence and its modules. */
int symbols_add(struct resolver *r, const struct statement *st);

#endif
