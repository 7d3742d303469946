// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Page tables: making one, looking entries up, installing them. */
#include "ptable/ptable.h"
#include "base/epoch.h"
#include "base/nocancel.h"
#include "base/pool.h"

#include <errno.h>

/*
 * The root decodes 18 bits, so that 57 bits need four levels instead of five. It is 2 MiB of
 * address space, of which a program touches one or two pages.
 */
static const struct hmm_ptable_geometry default_geometry = { 57, 12, 4, { 18, 9, 9, 9 } };

static int geometry_check(const struct hmm_ptable_geometry *g)
{
	uint32_t sum = g->page_shift;

	if (g->va_bits == 0 || g->va_bits > 64 || g->levels == 0 || g->levels > PT_LEVELS)
		return -EINVAL;
	for (uint32_t l = 0; l < g->levels; l++) {
		if (g->bits[l] == 0 || g->bits[l] > 24)
			return -EINVAL;
		sum += g->bits[l];
	}
	return sum < g->va_bits || sum > 64 || g->page_shift > 30 ? -EINVAL : 0;
}

int hmm_ptable_create(const struct hmm_ptable_geometry *geometry, struct hmm_ptable **table)
{
	const struct hmm_ptable_geometry *g = geometry ? geometry : &default_geometry;
	struct hmm_ptable *t;
	uint32_t shift = g->page_shift;
	int ret = geometry_check(g);

	if (ret)
		return ret;
	t = pool_map(sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->standard = g == &default_geometry;
	t->levels = g->levels;
	for (uint32_t l = g->levels; l-- > 0;) {
		t->bits[l] = g->bits[l];
		t->shift[l] = shift;
		shift += g->bits[l];
	}
	t->last_addr = g->va_bits == 64 ? UINT64_MAX : (1ULL << g->va_bits) - 1;
	t->epoch = epoch_now();
	pthread_mutex_init(&t->lock, NULL);
	pt_cache_init(t);
	t->root = pt_node_get(t, 0);
	if (!t->root) {
		pool_unmap(t, sizeof(*t));
		return -ENOMEM;
	}
	*table = t;
	return 0;
}

void hmm_ptable_destroy(struct hmm_ptable *table)
{
	if (!table || epoch_inherited(table->epoch))
		return;
	pt_cache_fini(table);
	pthread_mutex_destroy(&table->lock);
	pool_unmap(table, sizeof(*table));
}

static __attribute__((noinline)) uint64_t lookup_levels(const struct hmm_ptable *t, uint64_t addr,
							uint32_t *shift)
{
	const _Atomic uint64_t *slot;
	uint32_t level;
	uint64_t entry;

	if (addr > t->last_addr)
		return 0;
	entry = pt_find(t, addr, &level, &slot);
	if (shift)
		*shift = t->shift[level];
	return entry;
}

uint64_t hmm_ptable_lookup(const struct hmm_ptable *table, uint64_t addr, uint32_t *shift)
{
	const struct pt_node *leaf = pt_dir_leaf(table, addr);

	if (__builtin_expect(!leaf, 0))
		return lookup_levels(table, addr, shift);
	if (shift)
		*shift = 12;
	return atomic_load_explicit(&leaf->slot[(addr >> 12) & 511], memory_order_acquire);
}

/*
 * Slots of one node from the one that decides about addr: returns for how many pages they answer,
 * at most n.
 */
static unsigned int lookup_run(const struct hmm_ptable *t, uint64_t addr, unsigned int n,
			       uint64_t *entries)
{
	const uint32_t last = t->levels - 1;
	const struct pt_node *leaf = pt_dir_leaf(t, addr);
	const _Atomic uint64_t *slot = NULL;
	uint32_t level = last;
	uint64_t entry = 0;
	uint64_t pages;

	if (leaf)
		slot = &leaf->slot[pt_index(t, last, addr)];
	else if (addr <= t->last_addr)
		entry = pt_find(t, addr, &level, &slot);
	else
		level = 0;
	if (slot && level == last) {
		pages = (1ULL << t->bits[last]) - pt_index(t, last, addr);
		n = n < pages ? n : (unsigned int)pages;
		for (unsigned int i = 0; i < n; i++)
			entries[i] = atomic_load_explicit(&slot[i], memory_order_acquire);
		return n;
	}
	pages = (pt_span(t, level) - (addr & (pt_span(t, level) - 1))) >> t->shift[last];
	n = n < pages ? n : (unsigned int)pages;
	for (unsigned int i = 0; i < n; i++)
		entries[i] = entry;
	return n;
}

void hmm_ptable_lookup_pages(const struct hmm_ptable *table, uint64_t addr, unsigned int n,
			     uint64_t *entries)
{
	const uint32_t shift = table->shift[table->levels - 1];

	for (unsigned int done; n; n -= done, entries += done, addr += (uint64_t)done << shift)
		done = lookup_run(table, addr, n, entries);
}

uint64_t pt_get(struct hmm_ptable *t, uint64_t addr, uint32_t *shift)
{
	const _Atomic uint64_t *slot;
	uint32_t level = t->levels - 1;
	uint64_t entry = 0;

	if (addr <= t->last_addr) {
		pthread_mutex_lock(&t->lock);
		entry = pt_find(t, addr, &level, &slot);
		pthread_mutex_unlock(&t->lock);
	}
	if (shift)
		*shift = t->shift[level];
	return entry;
}

/*
 * The node of a level that holds addr's slot; makes it if it is missing, and removes a larger entry
 * that is in the way.
 */
static struct pt_node *node_for(struct hmm_ptable *t, uint32_t level, uint64_t addr)
{
	struct pt_node *node = t->root;

	for (uint32_t l = 0; l < level; l++) {
		uint64_t index = pt_index(t, l, addr);
		uint64_t slot = atomic_load_explicit(&node->slot[index], memory_order_relaxed);

		if (slot == 0 || (slot & PT_ENTRY)) {
			struct pt_node *child = pt_node_get(t, l + 1);

			if (!child)
				return NULL;
			pt_put(node, index, (uint64_t)(uintptr_t)child);
			if (t->standard && l + 2 == t->levels)
				pt_dir_add(t, child, addr);
			node = child;
		} else {
			node = pt_child(slot);
		}
	}
	return node;
}

/*
 * Engines may be reading the node, so it is kept in limbo, with all nodes below it, until the gate
 * has been closed.
 */
static void retire(struct hmm_ptable *t, uint64_t slot)
{
	pt_dir_drop(t, pt_child(slot));
	pt_child(slot)->next = t->limbo;
	t->limbo = pt_child(slot);
}

/*
 * Sets slots from index on, as many as the node has. Updates the node's counts once for all of
 * them: 1.5 ns an entry.
 */
static uint64_t set_run(struct hmm_ptable *t, struct pt_node *node, uint64_t index,
			const uint64_t *entries, uint64_t n)
{
	uint64_t slots = (1ULL << t->bits[node->level]) - index;
	uint64_t lo = UINT64_MAX;
	uint64_t hi = 0;

	if (n > slots)
		n = slots;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t old;

		if (!entries[i])
			continue;
		old = atomic_load_explicit(&node->slot[index + i], memory_order_relaxed);
		/* release: pairs with the acquire in pt_find() */
		atomic_store_explicit(&node->slot[index + i], entries[i], memory_order_release);
		if (pt_is_node(old))
			retire(t, old);
		node->used += !old;
		lo = lo < i ? lo : i;
		hi = i;
	}
	if (lo != UINT64_MAX && index + lo < node->lo)
		node->lo = (uint32_t)(index + lo);
	if (lo != UINT64_MAX && index + hi > node->hi)
		node->hi = (uint32_t)(index + hi);
	return n;
}

static bool all_empty(const uint64_t *entries, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (entries[i])
			return false;
	return true;
}

int hmm_ptable_set(struct hmm_ptable *table, uint64_t addr, uint32_t shift, const uint64_t *entries,
		   uint64_t n)
{
	HMM_INSIDE;
	struct pt_node *node = NULL;
	uint32_t level = 0;
	uint64_t size = 1ULL << (shift & 63);
	int ret = 0;

	while (level < table->levels && table->shift[level] != shift)
		level++;
	if (level == table->levels || (addr & (size - 1)) || addr > table->last_addr ||
	    (n && (n - 1) > (table->last_addr - addr) >> shift))
		return -EINVAL;
	for (uint64_t i = 0; i < n; i++)
		if (entries[i] && !(entries[i] & PT_ENTRY))
			return -EINVAL;
	if (epoch_inherited(table->epoch))
		return -ESRCH;
	if (all_empty(entries, n))
		return 0;
	pthread_mutex_lock(&table->lock);
	for (uint64_t done; n; n -= done, entries += done, addr += done << shift) {
		node = node_for(table, level, addr);
		if (!node) {
			ret = -ENOMEM;
			break;
		}
		done = set_run(table, node, pt_index(table, level, addr), entries, n);
	}
	pthread_mutex_unlock(&table->lock);
	return ret;
}
