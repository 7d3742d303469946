// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Consumers that use a symbol through macros and inline functions. */
#include "graph/indirect.h"
#include "base/vec.h"
#include "graph/entities.h"
#include "graph/index.h"
#include "graph/outside.h"

#include <errno.h>
#include <stdio.h>

#define NODES 4000u      /* of one symbol's search through headers; 6.12 needs 900 at most */
#define LOOKS 20000u     /* at files in it that might be consumers */
#define MEMO 8192u       /* answers remembered in it */
#define VISITS 3u        /* of one entity, by different ways */
#define REACHED 12u      /* entities remembered for a look at pasted names */
#define INDIRECT_MAX 64u /* consumers listed through headers */

struct node {
	uint64_t name;
	uint32_t owner; /* the entity whose name it is */
	uint32_t parent;
};

/* A remembered answer: does the file see all entities from the symbol to the node? */
struct memo {
	uint32_t file, node, round;
	bool visible;
};

struct search {
	struct resolver *r;
	struct index index;
	struct vec nodes;
	uint32_t *stamp, *visits; /* by entity */
	uint32_t *file_stamp;     /* by file, for walks up the includes */
	uint32_t round, file_round;
	uint32_t looks;
	bool cut; /* one of the limits was met */
	struct memo memo[MEMO];
	struct vec files;
	int err;
};

/* Symbols that have no modular consumer yet: one may reach them through a header. */
static int wanted(const struct symbol *s, bool pasted_only)
{
	return !s->modular && (!pasted_only || s->pasted.n);
}

/* The names that wanted symbols go by, and those of macros that paste one. */
static int first_keys(struct search *q, bool pasted_only)
{
	struct resolver *r = q->r;
	struct hmap *keys = &q->index.keys;
	int err = 0;

	for (uint32_t i = 0; !err && i < r->n_symbols; i++) {
		struct symbol *s = &r->symbols[i];

		if (!wanted(s, pasted_only))
			continue;
		for (uint32_t k = 0; !err && k < VEC_N(&s->names, uint64_t); k++)
			err = hmap_slot(keys, VEC_AT(&s->names, uint64_t, k)) ? 0 : -ENOMEM;
		for (uint32_t k = 0; !err && k < VEC_N(&s->pasted, struct use); k++) {
			uint32_t e = VEC_AT(&s->pasted, struct use, k).owner;

			if (e != NO_OWNER)
				err = hmap_slot(keys, entity(r, e)->hash) ? 0 : -ENOMEM;
		}
	}
	for (uint32_t i = 0; !err && i <= keys->mask; i++)
		keys->values[i] = 0; /* present, whatever the number */
	return err;
}

static bool names_one(const struct resolver *r, const struct referrer *m, const struct hmap *keys)
{
	const uint64_t *refs = r->referrer_refs + m->first;

	for (uint32_t i = 0; i < m->n; i++)
		if (hmap_get(keys, refs[i]) != HMAP_NONE)
			return true;
	return false;
}

/* Names of macros and inline functions from which a wanted symbol can be reached. */
static int closure_keys(struct search *q, bool pasted_only)
{
	struct resolver *r = q->r;
	struct hmap *keys = &q->index.keys;
	uint8_t *done = calloc(r->n_referrers + 1, 1);
	bool grown = true;
	int err = done ? first_keys(q, pasted_only) : -ENOMEM;

	while (!err && grown) {
		grown = false;
		for (uint32_t i = 0; !err && i < r->n_referrers; i++) {
			uint32_t *slot;

			if (done[i] || !names_one(r, &r->referrers[i], keys))
				continue;
			done[i] = 1;
			grown = true;
			slot = hmap_slot(keys, r->referrers[i].hash);
			if (slot)
				*slot = 0;
			err = slot ? 0 : -ENOMEM;
		}
	}
	free(done);
	return err;
}

static struct memo *memo_of(struct search *q, uint32_t file, uint32_t node)
{
	uint64_t key = (uint64_t)file << 32 | node;

	return &q->memo[(key * 0x9e3779b97f4a7c15u >> 40) % MEMO];
}

/*
 * Walks from the node up to the symbol, or to a remembered answer; remembers it for all nodes
 * between.
 */
static bool chain_visible(struct search *q, uint32_t file, uint32_t node)
{
	bool visible = true;
	uint32_t at = node;

	for (; visible && at != UINT32_MAX; at = VEC_AT(&q->nodes, struct node, at).parent) {
		uint32_t e = VEC_AT(&q->nodes, struct node, at).owner;
		const struct memo *m = memo_of(q, file, at);

		if (m->round == q->round && m->file == file && m->node == at) {
			visible = m->visible;
			break;
		}
		visible = e == NO_OWNER || entity_visible(q->r, file, e);
	}
	for (uint32_t i = node; i != at; i = VEC_AT(&q->nodes, struct node, i).parent)
		*memo_of(q, file, i) = (struct memo){ file, i, q->round, visible };
	return visible;
}

/* Would another consumer change nothing? */
static bool enough(const struct symbol *s, uint32_t max)
{
	return s->modular && VEC_N(&s->indirect, uint32_t) >= max;
}

static void consumer(struct search *q, struct symbol *s, uint32_t file, uint32_t node)
{
	if (q->looks++ >= LOOKS) {
		q->cut = true;
		return;
	}
	if (enough(s, INDIRECT_MAX) || !chain_visible(q, file, node) || !consumes(q->r, s, file))
		return;
	if (VEC_N(&s->indirect, uint32_t) >= INDIRECT_MAX)
		return;
	q->err = q->err ? q->err : vec_push(&s->indirect, &file, sizeof(file));
	if (s->via == NO_OWNER)
		s->via = VEC_AT(&q->nodes, struct node, node).owner;
}

/* Code at file scope of a header counts as code of each file that includes the header. */
static void includers(struct search *q, struct symbol *s, uint32_t header, uint32_t node)
{
	const struct includes *inc = q->r->includes;

	q->files.n = 0;
	q->file_round++;
	q->err = q->err ? q->err : vec_push(&q->files, &header, sizeof(header));
	for (uint32_t i = 0; !q->err && i < VEC_N(&q->files, uint32_t); i++) {
		uint32_t f = VEC_AT(&q->files, uint32_t, i);

		if (enough(s, INDIRECT_MAX / 8))
			break;
		if (q->r->is_tu[f])
			consumer(q, s, f, node);
		for (uint32_t e = inc->rfirst[f]; e < inc->rfirst[f + 1]; e++) {
			uint32_t src = inc->rsources[e];

			if (q->file_stamp[src] == q->file_round)
				continue;
			q->file_stamp[src] = q->file_round;
			q->err = q->err ? q->err : vec_push(&q->files, &src, sizeof(src));
		}
	}
}

static void use(struct search *q, struct symbol *s, uint32_t node, struct use u)
{
	struct resolver *r = q->r;
	struct node n = { .owner = u.owner, .parent = node };

	if (u.owner == NO_OWNER) {
		if (r->is_tu[u.file])
			consumer(q, s, u.file, node);
		else if (r->files[u.file].blob->kind == BLOB_HEADER)
			includers(q, s, u.file, node);
		return;
	}
	if (!(built_arches(r->built, u.file) & s->arches)) {
		pass_over(s, u.file, PASS_ARCH);
		return;
	}
	if (q->stamp[u.owner] != q->round) {
		q->stamp[u.owner] = q->round;
		q->visits[u.owner] = 0;
	}
	if (q->visits[u.owner]++ >= VISITS)
		return;
	if (q->nodes.n / sizeof(n) >= NODES) {
		q->cut = true;
		return;
	}
	s->through = true;
	if (VEC_N(&s->reached, uint32_t) < REACHED)
		q->err = q->err ? q->err : vec_push(&s->reached, &u.owner, sizeof(u.owner));
	n.name = entity(r, u.owner)->hash;
	q->err = q->err ? q->err : vec_push(&q->nodes, &n, sizeof(n));
}

static void uses_of(struct search *q, struct symbol *s, uint32_t node)
{
	uint32_t slot = hmap_get(&q->index.keys, VEC_AT(&q->nodes, struct node, node).name);

	if (slot == HMAP_NONE)
		return;
	for (uint32_t i = q->index.first[slot]; i < q->index.first[slot + 1] && !q->err; i++) {
		if (q->looks >= LOOKS || enough(s, INDIRECT_MAX))
			return;
		use(q, s, node, q->index.uses[i]);
	}
}

static int search_symbol(struct search *q, struct symbol *s)
{
	struct node root = { .owner = NO_OWNER, .parent = UINT32_MAX };
	uint32_t names = VEC_N(&s->names, uint64_t);

	q->round++;
	q->nodes.n = 0;
	q->looks = 0;
	q->cut = false;
	for (uint32_t i = 0; !q->err && i < names; i++) {
		root.name = VEC_AT(&s->names, uint64_t, i);
		q->err = vec_push(&q->nodes, &root, sizeof(root));
	}
	for (uint32_t i = 0; !q->err && i < VEC_N(&s->pasted, struct use); i++)
		use(q, s, 0, VEC_AT(&s->pasted, struct use, i));
	for (uint32_t i = 0; !q->err && i < VEC_N(&q->nodes, struct node); i++)
		uses_of(q, s, i);
	if (!q->err && q->cut && !s->indirect.n && !s->reason &&
	    asprintf(&s->reason, "used by more macros and inline functions than are followed") < 0)
		q->err = -ENOMEM;
	return q->err;
}

int consume_indirect(struct resolver *r, bool pasted_only)
{
	struct search q = { .r = r };
	int err = hmap_init(&q.index.keys, r->n_files);

	q.stamp = calloc(r->n_entities + 1, sizeof(*q.stamp));
	q.visits = calloc(r->n_entities + 1, sizeof(*q.visits));
	q.file_stamp = calloc(r->n_files + 1, sizeof(*q.file_stamp));
	if (!q.stamp || !q.visits || !q.file_stamp)
		err = -ENOMEM;
	err = err ? err : closure_keys(&q, pasted_only);
	err = err ? err : index_uses(r, &q.index);
	for (uint32_t i = 0; !err && i < r->n_symbols; i++)
		if (wanted(&r->symbols[i], pasted_only))
			err = search_symbol(&q, &r->symbols[i]);
	index_free(&q.index);
	free(q.nodes.data);
	free(q.files.data);
	free(q.stamp);
	free(q.visits);
	free(q.file_stamp);
	return err;
}
