/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * An interval tree: a treap on the start address, augmented with the largest end below each node.
 * Intrusive, allocates nothing. The caller locks.
 */
#ifndef LIB_BASE_ITREE_H
#define LIB_BASE_ITREE_H

#include <stdint.h>

struct itree_node {
	struct itree_node *left;
	struct itree_node *right;
	uint64_t start;
	uint64_t end;      /* one past the last */
	uint64_t max_end;  /* largest end in the subtree */
	uint64_t priority; /* heap order */
};

struct itree {
	struct itree_node *root;
	uint64_t state; /* state of the generator of priorities */
};

/* The caller has set node->start and node->end. Nodes may overlap and may be equal. */
void itree_insert(struct itree *tree, struct itree_node *node);
void itree_remove(struct itree *tree, struct itree_node *node);
/* The first node, in order of start, that overlaps [start, end); NULL: none. */
struct itree_node *itree_first(const struct itree *tree, uint64_t start, uint64_t end);
/* The next one after prev. */
struct itree_node *itree_next(const struct itree *tree, const struct itree_node *prev,
			      uint64_t start, uint64_t end);

#endif
