/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A graph as programs hold it: nodes and edges made by malloc, one by one, linked by pointers. Read
 * from a text of edges, "FROM TO" a line, names of any bytes but blanks; '#' begins a comment.
 */
#ifndef TOOLS_HMM_RUN_EDGES_H
#define TOOLS_HMM_RUN_EDGES_H

#include <stddef.h>
#include <stdint.h>

struct edge {
	struct node *to;
	struct edge *next;
};

#define LEVEL_NONE UINT32_MAX

struct node {
	struct edge *edges;
	uint32_t id;
	uint32_t level; /* steps from the source, or LEVEL_NONE; the device writes it */
};

struct graph {
	struct node **nodes; /* by id */
	size_t n_nodes;
	size_t n_edges;
	struct node *source;
	uint64_t bad_line; /* the first line that is no edge, 0 for none */
	void *names;
};

/* from: name of the source, NULL for the first node. Frees what it made on error. 0; -ENOMEM;
 * -EINVAL see bad_line; -ENOENT no such source; -ECANCELED after an interrupt. */
int graph_read(struct graph *g, const char *text, size_t size, const char *from);
void graph_free(struct graph *g);

#endif
