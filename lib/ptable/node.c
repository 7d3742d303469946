// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Nodes of a page table come in slabs of memory that is never mirrored. A level has one size of
 * node and one list of slabs. A slab's pages go back to the system when its last node is freed. Its
 * addresses stay nodes of that level until the table is destroyed. Nobody waits for a look-up that
 * is in no section, so it may find another address's entry, or nothing, but it never reads memory
 * that is not a node.
 */
#include "ptable/ptable.h"
#include "base/pool.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * With AddressSanitizer a read of a freed node is reported at once, and not only when the node is
 * unmapped.
 */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(addr, size) ((void)(addr), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(addr, size) ((void)(addr), (void)(size))
#endif

struct pt_slab {
	struct pt_slab *next;
	struct pt_slab **prev;
	struct pt_node *free;
	uint32_t used; /* how many nodes are handed out */
	/* how many of the first nodes were ever handed out: the rest is untouched */
	uint32_t fresh;
	uint32_t nodes;
	size_t size; /* size of the mapping that holds the nodes */
	char *first; /* node */
};

/* The header of a small slab lies before its nodes, in a page that is not given back. */
#define HEAD 64UL
#define PAGE 4096UL

/*
 * A table that grows gets large pages: a fresh 4 KiB page costs 2 us inside the commit section that
 * needs it, and 2 MiB at once cost 124 us and have room for 504 nodes.
 */
#define SLAB_BYTES (256UL << 10)
#define SLAB_LARGE (2UL << 20)
#define SLABS_SMALL 2

void pt_cache_init(struct hmm_ptable *t)
{
	for (uint32_t l = 0; l < t->levels; l++) {
		struct pt_cache *c = &t->cache[l];

		c->node_size = sizeof(struct pt_node) + (sizeof(uint64_t) << t->bits[l]);
		c->node_size = (c->node_size + 63) & ~63UL;
		/* The root level has one node only. */
		c->slab_size = l ? SLAB_BYTES : 0;
		if (c->slab_size < c->node_size + HEAD)
			c->slab_size = (c->node_size + HEAD + PAGE - 1) & ~(PAGE - 1);
	}
}

static void slab_link(struct pt_slab *s, struct pt_slab **list)
{
	s->next = *list;
	s->prev = list;
	if (s->next)
		s->next->prev = &s->next;
	*list = s;
}

static void slab_unlink(struct pt_slab *s)
{
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
}

static void slab_move(struct pt_slab *s, struct pt_slab **list)
{
	slab_unlink(s);
	slab_link(s, list);
}

/*
 * A large slab has its header in another mapping, so that its 2 MiB page can be given back as a
 * whole.
 */
static bool is_large(const struct pt_slab *s)
{
	return s->first != (char *)s + HEAD;
}

static void slab_free(struct pt_slab *s)
{
	char *mem = is_large(s) ? s->first : (char *)s;
	size_t size = s->size;

	/* What is mapped there next must not be poisoned. */
	ASAN_UNPOISON_MEMORY_REGION(mem, size);
	if (is_large(s))
		pool_unmap(s, PAGE);
	pool_unmap(mem, size);
}

/*
 * No node of the slab is in use: gives its pages back, so that all nodes are zero, and begins again
 * with the first.
 */
static void slab_rest(struct pt_slab *s)
{
	char *mem = is_large(s) ? s->first : (char *)s + PAGE;
	size_t size = is_large(s) ? s->size : s->size - PAGE;

	pool_discard(mem, size);
	s->free = NULL;
	s->fresh = 0;
}

static struct pt_slab *slab_large(void)
{
	struct pt_slab *s = pool_map(PAGE);
	char *mem = s ? pool_map(SLAB_LARGE) : NULL;

	if (!mem) {
		pool_unmap(s, PAGE);
		return NULL;
	}
	syscall(SYS_madvise, mem, SLAB_LARGE, MADV_HUGEPAGE);
	s->size = SLAB_LARGE;
	s->first = mem;
	return s;
}

static struct pt_slab *slab_small(size_t size)
{
	struct pt_slab *s = pool_map(size);

	if (!s)
		return NULL;
	s->size = size;
	s->first = (char *)s + HEAD;
	return s;
}

static struct pt_slab *slab_new(struct pt_cache *c)
{
	bool large = c->n_slabs >= SLABS_SMALL && c->slab_size == SLAB_BYTES;
	struct pt_slab *s = large ? slab_large() : slab_small(c->slab_size);

	if (!s)
		return NULL;
	c->n_slabs++;
	s->nodes = (uint32_t)((large ? s->size : s->size - HEAD) / c->node_size);
	slab_link(s, &c->slabs);
	return s;
}

static size_t slots_size(const struct hmm_ptable *t, uint32_t level)
{
	return sizeof(uint64_t) << t->bits[level];
}

struct pt_node *pt_node_get(struct hmm_ptable *t, uint32_t level)
{
	struct pt_cache *c = &t->cache[level];
	struct pt_slab *s = c->slabs;
	struct pt_node *node;

	if (!s)
		s = slab_new(c);
	if (!s)
		return NULL;
	if (s->free) {
		node = s->free;
		s->free = node->next;
	} else {
		node = (struct pt_node *)(s->first + s->fresh++ * c->node_size);
	}
	s->used++;
	ASAN_UNPOISON_MEMORY_REGION(node->slot, slots_size(t, level));
	/* All slots are zero: fresh memory is, and pt_node_put() cleared a node that was used. */
	node->slab = s;
	node->next = NULL;
	node->used = 0;
	node->level = level;
	node->lo = UINT32_MAX;
	node->hi = 0;
	if (s->used == s->nodes)
		slab_move(s, &c->full);
	return node;
}

void pt_node_put(struct hmm_ptable *t, struct pt_node *node)
{
	struct pt_slab *s = node->slab;
	struct pt_cache *c = &t->cache[node->level];

	if (node->used)
		memset((void *)node->slot, 0, slots_size(t, node->level));
	ASAN_POISON_MEMORY_REGION(node->slot, slots_size(t, node->level));
	node->next = s->free;
	s->free = node;
	if (s->used-- == s->nodes)
		slab_move(s, &c->slabs);
	if (s->used == 0)
		slab_rest(s);
}

static void slabs_free(struct pt_slab **list)
{
	struct pt_slab *s;

	while ((s = *list)) {
		slab_unlink(s);
		slab_free(s);
	}
}

void pt_cache_fini(struct hmm_ptable *t)
{
	for (uint32_t l = 0; l < t->levels; l++) {
		struct pt_cache *c = &t->cache[l];
		slabs_free(&c->slabs);
		slabs_free(&c->full);
	}
}

void pt_put(struct pt_node *node, uint64_t index, uint64_t value)
{
	uint64_t old = atomic_load_explicit(&node->slot[index], memory_order_relaxed);

	node->used += (value != 0) - (old != 0);
	if (value && index < node->lo)
		node->lo = (uint32_t)index;
	if (value && index > node->hi)
		node->hi = (uint32_t)index;
	/* release: pairs with the acquire in pt_find() */
	atomic_store_explicit(&node->slot[index], value, memory_order_release);
}
