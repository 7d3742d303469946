/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The page table from inside. A slot holds 0, an entry (bit 63 set), or the address of a node of
 * the next level (bit 63 clear: user space ends below it).
 *
 * Readers take no lock. That is sound because of when a node may go:
 *
 *	reader (engine section)			writer
 *	loads slot -> node			set(): larger entry over node: slot := entry,
 *	loads node->slot			       node -> limbo, *not* reused
 *						clear(): zeroes node->slot; node stays linked
 *	leaves the section
 *						gate closed: reclaim(): limbo and empty nodes
 *						are unlinked, reused or unmapped
 *
 * A reader holds pointers to nodes only inside its section, and no section is open while the gate
 * is closed, so what reclaim() unlinks and frees has no reader; nobody else frees. Who is in no
 * section takes the lock (pt_get()). A program that does neither reads a node of the same level
 * that was given to other addresses, or zeros, and no other memory (node.c).
 */
#ifndef LIB_PTABLE_PTABLE_H
#define LIB_PTABLE_PTABLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <hmm/ptable.h>

#define PT_LEVELS 6
#define PT_ENTRY (1ULL << 63)

struct pt_slab;

struct pt_node {
	struct pt_slab *slab;
	struct pt_node *next; /* free or limbo (lock) */
	uint32_t used;        /* slots that are not 0 (lock) */
	uint32_t level;
	uint32_t lo; /* slots below lo and above hi are 0 (lock) */
	uint32_t hi;
	uint64_t base; /* the first address: of a leaf that the directory may name */
	_Atomic uint64_t slot[] __attribute__((aligned(64)));
};

/* The directory's slots, see directory.c */
#define PT_DIR_BITS 15
#define PT_DIR_SHIFT (21 + PT_DIR_BITS)
#define PT_DIR_USED (1ULL << (57 - PT_DIR_SHIFT))

/* Nodes of one level, see node.c */
struct pt_cache {
	size_t node_size;
	size_t slab_size;      /* of the first ones */
	uint32_t n_slabs;      /* (lock) */
	struct pt_slab *slabs; /* with room (lock) */
	struct pt_slab *full;  /* (lock) */
};

struct hmm_ptable {
	struct pt_node *root;
	bool standard; /* the default geometry, which has a directory */
	uint32_t levels;
	uint32_t shift[PT_LEVELS]; /* log2 bytes that a slot of the level maps */
	uint32_t bits[PT_LEVELS];
	uint64_t last_addr; /* the highest address that can be mapped */
	uint64_t epoch;     /* of the process that made it: a child's copy may be locked for ever */
	pthread_mutex_t lock;
	struct pt_node *limbo; /* (lock) unlinked, maybe still read */
	bool empty;            /* (lock) there may be linked nodes without an entry */
	struct pt_cache cache[PT_LEVELS];
	_Atomic uint64_t directory[1 << PT_DIR_BITS]; /* (lock) to write */
};

static inline uint64_t pt_index(const struct hmm_ptable *t, uint32_t level, uint64_t addr)
{
	return (addr >> t->shift[level]) & ((1ULL << t->bits[level]) - 1);
}

static inline struct pt_node *pt_child(uint64_t slot)
{
	return (struct pt_node *)(uintptr_t)slot;
}

/* One compare: 0 wraps around to the largest number. */
static inline bool pt_is_node(uint64_t slot)
{
	return slot - 1 < PT_ENTRY - 1;
}

/* Bytes that a slot of the level maps. */
static inline uint64_t pt_span(const struct hmm_ptable *t, uint32_t level)
{
	return 1ULL << t->shift[level];
}

/*
 * The slot that decides about an address, its level, and as return value what it held: an entry or
 * 0. For a TLB that takes neighbours along; inside a section only.
 */
static inline uint64_t pt_find(const struct hmm_ptable *t, uint64_t addr, uint32_t *level,
			       const _Atomic uint64_t **where)
{
	const struct pt_node *node = t->root;
	const _Atomic uint64_t *p;
	uint32_t l = 0;
	uint64_t slot;

	for (;;) {
		p = &node->slot[pt_index(t, l, addr)];
		/* acquire: pairs with the release in pt_put(): a node is seen filled in */
		slot = atomic_load_explicit(p, memory_order_acquire);
		if (!pt_is_node(slot))
			break;
		node = pt_child(slot);
		l++;
	}
	*level = l;
	*where = p;
	return slot;
}

static inline uint64_t pt_dir_index(uint64_t addr)
{
	return (addr >> 21) & ((1ULL << PT_DIR_BITS) - 1);
}

/*
 * The directory's answer: the leaf that maps addr, NULL if the levels must be asked. The table's
 * geometry is the default one, or the directory is empty and always says NULL.
 */
static inline struct pt_node *pt_dir_leaf(const struct hmm_ptable *t, uint64_t addr)
{
	uint64_t slot =
		atomic_load_explicit(&t->directory[pt_dir_index(addr)], memory_order_acquire);

	/*
	 * A slot in use has one bit more than an address; an address beyond the table has others.
	 */
	if (__builtin_expect(((slot >> 42) ^ (addr >> PT_DIR_SHIFT)) != PT_DIR_USED, 0))
		return NULL;
	if (!(slot << 22)) /* a slot in use names a leaf: spares the caller's test */
		__builtin_unreachable();
	return pt_child(slot << 22 >> 16);
}

/* directory.c: with the lock held */
void pt_dir_add(struct hmm_ptable *t, struct pt_node *leaf, uint64_t addr);
void pt_dir_drop(struct hmm_ptable *t, const struct pt_node *node);

/* node.c: all with the lock held, none of the program's memory touched */
struct pt_node *pt_node_get(struct hmm_ptable *t, uint32_t level);
void pt_node_put(struct hmm_ptable *t, struct pt_node *node);
void pt_cache_init(struct hmm_ptable *t);
void pt_cache_fini(struct hmm_ptable *t);

/*
 * As hmm_ptable_clear(), but an entry that reaches beyond the range stays and gets these bits.
 * Returns how many entries overlap.
 */
uint64_t pt_trim(struct hmm_ptable *t, uint64_t start, uint64_t end, uint64_t bits);
/*
 * hmm_ptable_lookup() for who is in no section, with the lock: nodes do not go meanwhile. *shift is
 * written always; may be NULL.
 */
uint64_t pt_get(struct hmm_ptable *t, uint64_t addr, uint32_t *shift);
/* Is there any entry in the range? */
bool pt_any(struct hmm_ptable *t, uint64_t start, uint64_t end);

/* Store a slot and keep the node's books. */
void pt_put(struct pt_node *node, uint64_t index, uint64_t value);

#endif
