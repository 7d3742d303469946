/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef CHANGES_H
#define CHANGES_H

/* The files that a series changes. */

#include "gate/gate.h"

/* Fills g->changed.  Return: 0, or -errno after a complaint. */
int gate_list_changes(struct gate *g);

/* NULL if the series does not change that file. */
const struct changed_file *gate_changed(const struct gate *g, const char *path);

#endif
