/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef RUN_H
#define RUN_H

/* A series is judged by all rules. */

#include "gate/gate.h"

/*
 * The series, the rules and TAGS (or NULL: the kernel's) are borrowed.  *g is to be given to
 * gate_close() in any case.
 */
int gate_run(struct gate *g, struct harvest *h, const struct series *series,
	     const struct rules *rules, const char *tags);
void gate_close(struct gate *g);

#endif
