// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * graph: breadth-first search by the device over nodes that malloc made, through the program's own
 * pointers. The device writes each node's level into the node.
 *
 * One job a level. Engines take 64 nodes of the frontier at a time, follow their edges, and claim
 * what they find in a bitmap of the job's own; the engine that claims a node stores its level and
 * appends it to the next frontier. Only hmm_load() and hmm_store() touch the program's memory: they
 * replay themselves, so a claim is never made twice.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../command.h"
#include "../json.h"
#include "edges.h"
#include "extents.h"
#include "job.h"

#define TAKE 64

struct search_state {
	struct graph graph;
	struct node **frontier; /* pointers into the program's memory */
	struct node **next;
	size_t n_frontier;
	_Atomic size_t n_next;
	_Atomic uint64_t *claimed;
	uint32_t level;
	uint64_t reached;
	uint32_t *levels; /* the CPU's result, by id */
};

static bool claim(struct search_state *s, uint32_t id)
{
	uint64_t bit = 1ULL << (id & 63);

	return !(atomic_fetch_or_explicit(&s->claimed[id >> 6], bit, memory_order_relaxed) & bit);
}

static int visit(struct hmm_ctx *ctx, struct search_state *s, struct node *to)
{
	uint32_t level = s->level + 1;
	struct node node;
	int ret = hmm_load(ctx, &node, (uintptr_t)to, sizeof(node));

	if (ret)
		return ret;
	/* What the program holds there is not trusted with the bounds of the job's own memory. */
	if (node.id >= s->graph.n_nodes)
		return -EIO;
	if (!claim(s, node.id))
		return 0;
	s->next[atomic_fetch_add_explicit(&s->n_next, 1, memory_order_relaxed)] = to;
	return hmm_store(ctx, (uintptr_t)&to->level, &level, sizeof(level));
}

static int kernel(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct search_state *s = arg;
	size_t end = (item + 1) * TAKE < s->n_frontier ? (item + 1) * TAKE : s->n_frontier;
	int ret = 0;

	for (size_t i = item * TAKE; i < end && !ret; i++) {
		struct node node;
		struct edge edge;

		ret = hmm_load(ctx, &node, (uintptr_t)s->frontier[i], sizeof(node));
		for (struct edge *e = node.edges; !ret && e; e = edge.next) {
			ret = hmm_load(ctx, &edge, (uintptr_t)e, sizeof(edge));
			if (!ret)
				ret = visit(ctx, s, edge.to);
		}
	}
	return ret;
}

static int read_graph(struct work *work, struct search_state *s)
{
	const char *path = work->input->path;
	int ret = graph_read(&s->graph, (const char *)work->input->base, work->input->size,
			     work->options->from);

	if (ret == -EINVAL)
		work->status = complain(EXIT_INPUT,
					"'%s' line %" PRIu64
					": expected 'FROM TO', the two ends of an edge",
					path, s->graph.bad_line);
	else if (ret == -ENOENT)
		work->status =
			complain(EXIT_INPUT, "'%s' has no node '%s'", path, work->options->from);
	else
		return ret;
	return -COMPLAINED;
}

static int graph_prepare(struct work *work)
{
	struct search_state *s = calloc(1, sizeof(*s));
	size_t n;
	int ret;

	if (!s)
		return -ENOMEM;
	work->state = s;
	ret = read_graph(work, s);
	if (ret)
		return ret;
	n = s->graph.n_nodes;
	work->bytes = n * sizeof(struct node) + s->graph.n_edges * sizeof(struct edge);
	s->frontier = calloc(n, sizeof(*s->frontier));
	s->next = calloc(n, sizeof(*s->next));
	s->claimed = calloc(n / 64 + 1, sizeof(*s->claimed));
	s->levels = malloc(n * sizeof(*s->levels));
	return s->frontier && s->next && s->claimed && s->levels ? 0 : -ENOMEM;
}

static int graph_device(struct work *work)
{
	struct search_state *s = work->state;
	struct node **t;
	int ret = work->session->named ? graph_name(&s->graph, work->session) : 0;

	if (ret)
		return ret;
	s->graph.source->level = 0;
	claim(s, s->graph.source->id);
	s->frontier[0] = s->graph.source;
	s->n_frontier = 1;
	while (s->n_frontier) {
		s->reached += s->n_frontier;
		ret = session_run(work->session, "graph", kernel, s,
				  (s->n_frontier + TAKE - 1) / TAKE);
		if (ret)
			return ret;
		t = s->frontier;
		s->frontier = s->next;
		s->next = t;
		s->n_frontier = atomic_exchange(&s->n_next, 0);
		if (s->n_frontier)
			s->level++;
	}
	return 0;
}

/* The CPU's way: one thread and a queue. */
static int graph_cpu(struct work *work)
{
	struct search_state *s = work->state;
	struct node **queue = s->next;
	size_t head = 0, tail = 0;

	work->cpu_threads = 1;
	memset(s->levels, 0xff, s->graph.n_nodes * sizeof(*s->levels));
	s->levels[s->graph.source->id] = 0;
	queue[tail++] = s->graph.source;
	while (head < tail) {
		struct node *node = queue[head++];

		for (struct edge *e = node->edges; e; e = e->next) {
			if (s->levels[e->to->id] != LEVEL_NONE)
				continue;
			s->levels[e->to->id] = s->levels[node->id] + 1;
			queue[tail++] = e->to;
		}
	}
	return interrupted() ? -ECANCELED : 0;
}

static int graph_same(struct work *work)
{
	struct search_state *s = work->state;

	for (size_t i = 0; i < s->graph.n_nodes; i++)
		if (s->graph.nodes[i]->level != s->levels[i])
			return 0;
	return 1;
}

static void graph_result(const struct work *work, struct json_object *fields, char *line)
{
	const struct search_state *s = work->state;

	put_number(fields, "nodes", (int64_t)s->graph.n_nodes);
	put_number(fields, "edges", (int64_t)s->graph.n_edges);
	put_number(fields, "reached", (int64_t)s->reached);
	put_number(fields, "depth", s->level);
	snprintf(line, LINE, "%" PRIu64 " of %zu nodes within %u steps, %zu edges", s->reached,
		 s->graph.n_nodes, s->level, s->graph.n_edges);
}

static void graph_release(struct work *work)
{
	struct search_state *s = work->state;

	if (!s)
		return;
	graph_free(&s->graph);
	free(s->frontier);
	free(s->next);
	free(s->claimed);
	free(s->levels);
	free(s);
}

const struct job job_graph = {
	.name = "graph",
	.summary = "breadth-first search over nodes that malloc made of each file's edges",
	.prepare = graph_prepare,
	.device = graph_device,
	.cpu = graph_cpu,
	.same = graph_same,
	.result = graph_result,
	.release = graph_release,
};
