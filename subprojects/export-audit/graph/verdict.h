/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef VERDICT_H
#define VERDICT_H

/* Verdicts and reasons. */

#include "graph/resolve.h"

/* Sets verdict and reason of each symbol, from the uses that were found. */
int judge(struct resolver *r);

#endif
