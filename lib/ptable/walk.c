// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Visits entries in order. The lock is held while entries are gathered and not while the visitor
 * runs, so the visitor may change the table.
 */
#include "ptable/ptable.h"
#include "base/epoch.h"
#include "base/nocancel.h"

#include <errno.h>

#define BATCH 128

struct gathered {
	uint64_t addr[BATCH];
	uint64_t entry[BATCH];
	uint32_t shift[BATCH];
	unsigned int n;
	unsigned int limit;
};

static void gather(struct hmm_ptable *t, struct pt_node *node, uint64_t base, uint64_t first,
		   uint64_t last, struct gathered *g)
{
	uint32_t shift = t->shift[node->level];
	uint64_t to = (last - base) >> shift;
	uint64_t i = first > base ? (first - base) >> shift : 0;

	if (node->used == 0)
		return;
	if (i < node->lo)
		i = node->lo;
	if (to > node->hi)
		to = node->hi;
	for (; i <= to && g->n < g->limit; i++) {
		uint64_t slot = atomic_load_explicit(&node->slot[i], memory_order_relaxed);
		uint64_t addr = base + (i << shift);

		if (slot == 0)
			continue;
		if (!(slot & PT_ENTRY)) {
			gather(t, pt_child(slot), addr, first, last, g);
			continue;
		}
		g->addr[g->n] = addr;
		g->shift[g->n] = shift;
		g->entry[g->n++] = slot;
	}
}

int hmm_ptable_walk(struct hmm_ptable *table, uint64_t start, uint64_t end,
		    int (*fn)(uint64_t addr, uint32_t shift, uint64_t entry, void *arg), void *arg)
{
	HMM_INSIDE;
	uint64_t last = end == UINT64_MAX ? table->last_addr : end - 1;
	struct gathered g;
	int ret;

	if (epoch_inherited(table->epoch))
		return -ESRCH;
	g.limit = BATCH;
	if (last > table->last_addr)
		last = table->last_addr;
	while (start < end && start <= last) {
		g.n = 0;
		pthread_mutex_lock(&table->lock);
		gather(table, table->root, 0, start, last, &g);
		pthread_mutex_unlock(&table->lock);
		for (unsigned int i = 0; i < g.n; i++) {
			ret = fn(g.addr[i], g.shift[i], g.entry[i], arg);
			if (ret)
				return ret;
		}
		if (g.n < BATCH)
			break;
		start = g.addr[g.n - 1] + (1ULL << g.shift[g.n - 1]);
		if (start == 0)
			break;
	}
	return 0;
}

bool pt_any(struct hmm_ptable *t, uint64_t start, uint64_t end)
{
	uint64_t last = end - 1 < t->last_addr ? end - 1 : t->last_addr;
	struct gathered g;

	if (start >= end || start > last)
		return false;
	g.n = 0;
	g.limit = 1;
	pthread_mutex_lock(&t->lock);
	gather(t, t->root, 0, start, last, &g);
	pthread_mutex_unlock(&t->lock);
	return g.n != 0;
}
