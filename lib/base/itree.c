// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "base/itree.h"

#include <stdbool.h>
#include <stddef.h>

static uint64_t next_priority(struct itree *tree)
{
	uint64_t x = tree->state ? tree->state : 0x9e3779b97f4a7c15ULL;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return tree->state = x;
}

/* Total order: by start, then by address of the node, so that equal intervals can be told apart. */
static bool before(const struct itree_node *a, const struct itree_node *b)
{
	return a->start != b->start ? a->start < b->start : (uintptr_t)a < (uintptr_t)b;
}

static void update(struct itree_node *n)
{
	n->max_end = n->end;
	if (n->left && n->left->max_end > n->max_end)
		n->max_end = n->left->max_end;
	if (n->right && n->right->max_end > n->max_end)
		n->max_end = n->right->max_end;
}

static struct itree_node *rotate_right(struct itree_node *n)
{
	struct itree_node *l = n->left;

	n->left = l->right;
	l->right = n;
	update(n);
	update(l);
	return l;
}

static struct itree_node *rotate_left(struct itree_node *n)
{
	struct itree_node *r = n->right;

	n->right = r->left;
	r->left = n;
	update(n);
	update(r);
	return r;
}

static struct itree_node *insert(struct itree_node *root, struct itree_node *node)
{
	if (!root)
		return node;
	if (before(node, root)) {
		root->left = insert(root->left, node);
		if (root->left->priority > root->priority)
			return rotate_right(root);
	} else {
		root->right = insert(root->right, node);
		if (root->right->priority > root->priority)
			return rotate_left(root);
	}
	update(root);
	return root;
}

void itree_insert(struct itree *tree, struct itree_node *node)
{
	node->left = NULL;
	node->right = NULL;
	node->max_end = node->end;
	node->priority = next_priority(tree);
	tree->root = insert(tree->root, node);
}

static struct itree_node *merge(struct itree_node *a, struct itree_node *b)
{
	if (!a || !b)
		return a ? a : b;
	if (a->priority > b->priority) {
		a->right = merge(a->right, b);
		update(a);
		return a;
	}
	b->left = merge(a, b->left);
	update(b);
	return b;
}

static struct itree_node *drop(struct itree_node *root, struct itree_node *node)
{
	if (!root)
		return NULL;
	if (root == node)
		return merge(node->left, node->right);
	if (before(node, root))
		root->left = drop(root->left, node);
	else
		root->right = drop(root->right, node);
	update(root);
	return root;
}

void itree_remove(struct itree *tree, struct itree_node *node)
{
	tree->root = drop(tree->root, node);
}

/* The first node after `prev` that overlaps; prev NULL: the first of all. */
static struct itree_node *search(struct itree_node *n, const struct itree_node *prev,
				 uint64_t start, uint64_t end)
{
	struct itree_node *found;

	if (!n || n->max_end <= start)
		return NULL;
	if (prev && !before(prev, n))
		return search(n->right, prev, start, end);
	found = search(n->left, prev, start, end);
	if (found)
		return found;
	if (n->start >= end)
		return NULL;
	if (n->end > start)
		return n;
	return search(n->right, NULL, start, end);
}

struct itree_node *itree_first(const struct itree *tree, uint64_t start, uint64_t end)
{
	return search(tree->root, NULL, start, end);
}

struct itree_node *itree_next(const struct itree *tree, const struct itree_node *prev,
			      uint64_t start, uint64_t end)
{
	return search(tree->root, prev, start, end);
}
