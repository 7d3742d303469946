// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <json-c/linkhash.h>

#include "edges.h"
#include "session.h"

static struct node *node_new(struct graph *g, char *name)
{
	struct node *node = calloc(1, sizeof(*node));
	struct node **more = g->nodes;

	if (!(g->n_nodes & (g->n_nodes + 1)) || !more)
		more = reallocarray(g->nodes, 2 * (g->n_nodes + 1), sizeof(*more));
	if (more)
		g->nodes = more;
	if (!node || !more || lh_table_insert(g->names, name, node)) {
		free(node);
		free(name);
		return NULL;
	}
	node->id = (uint32_t)g->n_nodes;
	node->level = LEVEL_NONE;
	g->nodes[g->n_nodes++] = node;
	return node;
}

static struct node *node_named(struct graph *g, const char *name, size_t length)
{
	char *copy = strndup(name, length);
	void *found;

	if (!copy)
		return NULL;
	if (!lh_table_lookup_ex(g->names, copy, &found))
		return node_new(g, copy);
	free(copy);
	return found;
}

static int edge_add(struct graph *g, struct node *from, struct node *to)
{
	struct edge *edge = malloc(sizeof(*edge));

	if (!from || !to || !edge) {
		free(edge);
		return -ENOMEM;
	}
	*edge = (struct edge){ to, from->edges };
	from->edges = edge;
	g->n_edges++;
	return 0;
}

#define BLANKS " \t\r"

/* The next word of [p, end); its length, 0 for none. */
static size_t word(const char **p, const char *end)
{
	const char *q;

	while (*p < end && strchr(BLANKS, **p))
		(*p)++;
	for (q = *p; q < end && !strchr(BLANKS, *q); q++)
		;
	return (size_t)(q - *p);
}

static int read_line(struct graph *g, const char *p, const char *end)
{
	const char *from, *to;
	size_t from_length = word(&p, end), to_length;
	struct node *a, *b;

	from = p;
	if (!from_length || *from == '#')
		return 0;
	p += from_length;
	to_length = word(&p, end);
	to = p;
	p += to_length;
	if (!to_length || word(&p, end))
		return -EINVAL;
	a = node_named(g, from, from_length);
	b = node_named(g, to, to_length);
	return edge_add(g, a, b);
}

static void entry_free(struct lh_entry *e)
{
	free(lh_entry_k(e));
}

int graph_read(struct graph *g, const char *text, size_t size, const char *from)
{
	const char *p = text, *end = text + size;
	uint64_t number = 0;
	void *found;
	int ret = 0;

	memset(g, 0, sizeof(*g));
	g->names = lh_kchar_table_new(1024, entry_free);
	if (!g->names)
		return -ENOMEM;
	while (p < end && !ret) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));

		if (!stop)
			stop = end;
		number++;
		ret = interrupted() ? -ECANCELED : read_line(g, p, stop);
		p = stop + 1;
	}
	if (ret == -EINVAL || (!ret && !g->n_nodes)) {
		g->bad_line = number;
		ret = -EINVAL;
	} else if (!ret && from) {
		ret = lh_table_lookup_ex(g->names, from, &found) ? 0 : -ENOENT;
		g->source = ret ? NULL : found;
	} else if (!ret) {
		g->source = g->nodes[0];
	}
	if (ret)
		graph_free(g);
	return ret;
}

void graph_free(struct graph *g)
{
	for (size_t i = 0; i < g->n_nodes; i++) {
		struct edge *e = g->nodes[i]->edges;

		while (e) {
			struct edge *next = e->next;

			free(e);
			e = next;
		}
		free(g->nodes[i]);
	}
	free(g->nodes);
	if (g->names)
		lh_table_free(g->names);
	g->nodes = NULL;
	g->names = NULL;
	g->n_nodes = 0;
}
