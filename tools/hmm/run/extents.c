// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "extents.h"

/*
 * Of a mapping that malloc took memory from the part that holds the graph, as far as it is known.
 */
struct extent {
	struct hmm_vma vma;
	const char *start;
	const char *end;
};

#define EXTENTS_MAX 64

struct extents {
	struct extent of[EXTENTS_MAX];
	unsigned int n;
};

static bool inside(const struct hmm_vma *vma, const char *start, const char *end)
{
	return (uintptr_t)start >= vma->start && (uintptr_t)end <= vma->end;
}

static int add(struct extents *e, struct hmm_mm *mm, const void *p, size_t size)
{
	const char *start = p, *end = start + size;
	struct extent *x = e->of;

	while (x < e->of + e->n && !inside(&x->vma, start, end))
		x++;
	if (x == e->of + e->n) {
		if (e->n == EXTENTS_MAX || hmm_vma_find(mm, (uintptr_t)start, &x->vma))
			return -ENOMEM;
		x->start = start;
		x->end = end;
		e->n++;
	}
	if (start < x->start)
		x->start = start;
	if (end > x->end)
		x->end = end;
	return 0;
}

static int add_node(struct extents *e, struct hmm_mm *mm, const struct node *node)
{
	int ret = add(e, mm, node, sizeof(*node));

	for (const struct edge *edge = node->edges; edge && !ret; edge = edge->next)
		ret = add(e, mm, edge, sizeof(*edge));
	return ret;
}

int graph_name(const struct graph *g, struct session *s)
{
	struct extents *e = calloc(1, sizeof(*e));
	int ret = e ? 0 : -ENOMEM;

	for (size_t i = 0; i < g->n_nodes && !ret; i++)
		ret = add_node(e, s->mm, g->nodes[i]);
	for (unsigned int i = 0; !ret && i < e->n; i++)
		ret = session_name(s, e->of[i].start, (size_t)(e->of[i].end - e->of[i].start),
				   PROT_READ | PROT_WRITE);
	free(e);
	return ret;
}
