/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Where in the program's memory a graph lies, for a device that cannot fault and must be told. */
#ifndef TOOLS_HMM_RUN_EXTENTS_H
#define TOOLS_HMM_RUN_EXTENTS_H

#include "edges.h"
#include "session.h"

/* Names all nodes and edges for the jobs that follow. 0 or -errno. */
int graph_name(const struct graph *g, struct session *s);

#endif
