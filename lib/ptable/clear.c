// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Removes entries. The pump runs this. A thread that holds the table's lock waits for nothing but
 * the kernel's lock of the memory map, which no thread holds while it waits for an event.
 */
#include "ptable/ptable.h"
#include "base/epoch.h"
#include "base/nocancel.h"

struct clearing {
	struct hmm_ptable *t;
	uint64_t first; /* addresses, inclusive: the end of a 64-bit space is no 64-bit number */
	uint64_t last;
	uint64_t keep; /* bits that an entry keeps; 0: the entry is removed */
	/* bits that an entry gets, instead of being removed, if it reaches beyond the range */
	uint64_t trim;
	uint64_t n;
};

static void clear_node(struct clearing *c, struct pt_node *node, uint64_t base);

static void clear_slot(struct clearing *c, struct pt_node *node, uint64_t index, uint64_t addr)
{
	uint64_t slot = atomic_load_explicit(&node->slot[index], memory_order_relaxed);

	if (slot == 0)
		return;
	if (!(slot & PT_ENTRY)) {
		clear_node(c, pt_child(slot), addr);
	} else if (c->trim &&
		   (addr < c->first || c->last - addr < pt_span(c->t, node->level) - 1)) {
		pt_put(node, index, slot | c->trim);
		c->n++;
	} else if (c->keep == 0) {
		pt_put(node, index, 0);
		c->n++;
		if (node->used == 0)
			c->t->empty = true;
	} else if (slot & ~c->keep) {
		pt_put(node, index, slot & c->keep);
		c->n++;
	}
}

/* base: the first address of the node. Recursion is at most PT_LEVELS deep. */
static void clear_node(struct clearing *c, struct pt_node *node, uint64_t base)
{
	uint32_t l = node->level;
	uint64_t slots = 1ULL << c->t->bits[l];
	uint64_t from = c->first > base ? (c->first - base) >> c->t->shift[l] : 0;
	uint64_t to = (c->last - base) >> c->t->shift[l];

	if (to > slots - 1)
		to = slots - 1;
	if (node->used == 0)
		return;
	if (from < node->lo)
		from = node->lo;
	if (to > node->hi)
		to = node->hi;
	for (uint64_t i = from; i <= to; i++)
		clear_slot(c, node, i, base + (i << c->t->shift[l]));
	if (node->used == 0) {
		node->lo = UINT32_MAX;
		node->hi = 0;
	}
}

static uint64_t clear(struct hmm_ptable *t, uint64_t start, uint64_t end, uint64_t keep,
		      uint64_t trim)
{
	struct clearing c = { .t = t, .first = start, .last = end - 1, .keep = keep, .trim = trim };

	if (end <= start || start > t->last_addr || epoch_inherited(t->epoch))
		return 0;
	if (end == UINT64_MAX || c.last > t->last_addr)
		c.last = t->last_addr;
	pthread_mutex_lock(&t->lock);
	clear_node(&c, t->root, 0);
	pthread_mutex_unlock(&t->lock);
	return c.n;
}

uint64_t hmm_ptable_clear(struct hmm_ptable *table, uint64_t start, uint64_t end)
{
	HMM_INSIDE;
	return clear(table, start, end, 0, 0);
}

uint64_t hmm_ptable_clear_bits(struct hmm_ptable *table, uint64_t start, uint64_t end,
			       uint64_t mask)
{
	/* Bit 63 marks an entry, so it stays. */
	return clear(table, start, end, ~mask | PT_ENTRY, 0);
}

uint64_t pt_trim(struct hmm_ptable *t, uint64_t start, uint64_t end, uint64_t bits)
{
	return clear(t, start, end, 0, bits);
}

/* Frees a node and all nodes below it. */
static uint64_t free_tree(struct hmm_ptable *t, struct pt_node *node)
{
	uint64_t bytes = t->cache[node->level].node_size;

	for (uint64_t i = node->lo; node->used && i <= node->hi; i++) {
		uint64_t slot = atomic_load_explicit(&node->slot[i], memory_order_relaxed);

		if (slot && !(slot & PT_ENTRY))
			bytes += free_tree(t, pt_child(slot));
	}
	pt_node_put(t, node);
	return bytes;
}

static uint64_t reclaim_node(struct hmm_ptable *t, struct pt_node *node)
{
	uint64_t bytes = 0;

	for (uint64_t i = node->lo; node->used && i <= node->hi; i++) {
		uint64_t slot = atomic_load_explicit(&node->slot[i], memory_order_relaxed);
		struct pt_node *child = pt_child(slot);

		if (slot == 0 || (slot & PT_ENTRY))
			continue;
		if (child->level + 1 < t->levels)
			bytes += reclaim_node(t, child);
		if (child->used)
			continue;
		bytes += t->cache[child->level].node_size;
		pt_dir_drop(t, child);
		pt_put(node, i, 0);
		pt_node_put(t, child);
	}
	return bytes;
}

uint64_t hmm_ptable_reclaim(struct hmm_ptable *table)
{
	HMM_INSIDE;
	uint64_t bytes = 0;
	struct pt_node *node;

	if (epoch_inherited(table->epoch))
		return 0;
	pthread_mutex_lock(&table->lock);
	while ((node = table->limbo)) {
		table->limbo = node->next;
		bytes += free_tree(table, node);
	}
	if (table->empty)
		bytes += reclaim_node(table, table->root);
	table->empty = false;
	pthread_mutex_unlock(&table->lock);
	return bytes;
}
