/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A device's page table. A slot holds 0, an entry (bit 63 set), or the address of a node of the
 * next level (bit 63 clear, as user space ends below it).
 *
 * Readers take no lock. This shows when a node may be freed:
 *
 *	reader (engine section)			writer
 *	loads slot -> node			set(): larger entry over node: slot := entry,
 *	loads node->slot			       node -> limbo, *not* reused
 *						clear(): zeroes node->slot; node stays linked
 *	leaves the section
 *						gate closed: reclaim(): limbo and empty nodes
 *						are unlinked, reused or unmapped
 *
 * A reader has pointers to nodes only inside its section, and no section is open while the gate is
 * closed. So nobody reads a node that reclaim() unlinks and frees, and only reclaim() frees. A
 * caller that is in no section takes the lock (pt_get()). One that does neither may read a node of
 * the same level that other addresses have by now, or zeros, and no other memory (node.c).
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
	struct pt_node *next; /* list of free nodes, or limbo (lock) */
	uint32_t used;        /* how many slots are not 0 (lock) */
	uint32_t level;
	uint32_t lo; /* slots below lo and above hi are 0 (lock) */
	uint32_t hi;
	uint64_t base; /* of a leaf that the directory may name: its first address */
	_Atomic uint64_t slot[] __attribute__((aligned(64)));
};

/* The directory's slots, see directory.c */
#define PT_DIR_BITS 15
#define PT_DIR_SHIFT (21 + PT_DIR_BITS)
#define PT_DIR_USED (1ULL << (57 - PT_DIR_SHIFT))

/* Nodes of one level, see node.c */
struct pt_cache {
	size_t node_size;
	size_t slab_size;      /* size of the first slabs */
	uint32_t n_slabs;      /* (lock) */
	struct pt_slab *slabs; /* slabs with a free node (lock) */
	struct pt_slab *full;  /* (lock) */
};

struct hmm_ptable {
	struct pt_node *root;
	bool standard; /* the default geometry, which has a directory */
	uint32_t levels;
	uint32_t shift[PT_LEVELS]; /* log2 bytes that a slot of the level maps */
	uint32_t bits[PT_LEVELS];
	uint64_t last_addr; /* the highest address that can be mapped */
	/* epoch of the process that made it: a child's copy may stay locked for ever */
	uint64_t epoch;
	pthread_mutex_t lock;
	struct pt_node *limbo; /* (lock) unlinked nodes, which may still be read */
	bool empty;            /* (lock) there may be linked nodes without an entry */
	struct pt_cache cache[PT_LEVELS];
	_Atomic uint64_t directory[1 << PT_DIR_BITS]; /* written under lock */
};

static inline uint64_t pt_index(const struct hmm_ptable *t, uint32_t level, uint64_t addr)
{
	return (addr >> t->shift[level]) & ((1ULL << t->bits[level]) - 1);
}

static inline struct pt_node *pt_child(uint64_t slot)
{
	return (struct pt_node *)(uintptr_t)slot;
}

/* One comparison is enough, as 0 wraps around to the largest number. */
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
 * Finds the slot that decides about an address. Returns its content, an entry or 0, *where the slot
 * is and its *level: a TLB takes neighbouring slots along. Call it inside a section only.
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
		/* acquire: pairs with the release in pt_put(), so that a node is seen filled in */
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
 * Asks the directory for the leaf that maps addr. NULL: the levels must be asked. A table with
 * another geometry than the default has an empty directory, so this is always NULL.
 */
static inline struct pt_node *pt_dir_leaf(const struct hmm_ptable *t, uint64_t addr)
{
	uint64_t slot =
		atomic_load_explicit(&t->directory[pt_dir_index(addr)], memory_order_acquire);

	/*
	 * A slot in use has a bit that no address of the table has. An address beyond the table may
	 * have it: then an empty slot fits, and names no leaf.
	 */
	if (__builtin_expect(((slot >> 42) ^ (addr >> PT_DIR_SHIFT)) != PT_DIR_USED, 0))
		return NULL;
	return pt_child(slot << 22 >> 16);
}

/* directory.c: the caller holds the lock */
void pt_dir_add(struct hmm_ptable *t, struct pt_node *leaf, uint64_t addr);
void pt_dir_drop(struct hmm_ptable *t, const struct pt_node *node);

/* node.c: the caller holds the lock; touches no memory of the program */
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
 * hmm_ptable_lookup() for a caller that is in no section: takes the lock, so that nodes stay
 * meanwhile. *shift is written always; shift may be NULL.
 */
uint64_t pt_get(struct hmm_ptable *t, uint64_t addr, uint32_t *shift);
/* Is there any entry in the range? */
bool pt_any(struct hmm_ptable *t, uint64_t start, uint64_t end);

/* Stores a slot and updates the node's counts. */
void pt_put(struct pt_node *node, uint64_t index, uint64_t value);

#endif
