/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef OUT_H
#define OUT_H

/* The verdict, written. */

#include "gate/gate.h"
#include "report/results.h"

/* All findings, for other forms of output.  Return: 0 or -ENOMEM. */
int gate_results(const struct gate *g, struct results *out);

/* R comes from gate_results(). A finding that is known there does not count here. */
void gate_know(struct gate *g, const struct results *r);
void gate_print_text(const struct gate *g);

/* Return: 0 or -ENOMEM. */
int gate_print_json(const struct gate *g);

#endif
