// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Macros that call macros that paste. */
#include "graph/callers.h"
#include "base/vec.h"

#include <errno.h>

#define ROUNDS 3 /* of macros that call macros that paste */

struct link {
	uint64_t caller;
	uint32_t next;
};

static int add_link(struct calling *n, uint64_t macro, uint64_t caller)
{
	uint32_t *slot = hmap_slot(&n->of, macro), at = VEC_N(&n->pool, struct link);
	struct link l = { caller, HMAP_NONE };

	if (!slot)
		return -ENOMEM;
	for (uint32_t i = *slot; i != HMAP_NONE; i = VEC_AT(&n->pool, struct link, i).next)
		if (VEC_AT(&n->pool, struct link, i).caller == caller)
			return 1;
	l.next = *slot;
	*slot = at;
	return vec_push(&n->pool, &l, sizeof(l));
}

static int self_link(struct calling *n, uint64_t macro)
{
	int err = add_link(n, macro, macro);

	return err < 0 ? err : 0;
}

/* Starts with the macros of all matches. */
static int link_matched(const struct matches *p, struct calling *n)
{
	bool bare = false;
	int err = 0;

	for (uint32_t i = 0; !err && i < VEC_N(&p->v, struct match); i++) {
		const struct match *m = &VEC_AT(&p->v, struct match, i);

		bare |= m->end != 0;
		if (!m->end)
			err = self_link(n, VEC_AT(&p->chains, struct chain, m->chain).macro);
	}
	for (uint32_t k = p->start[2 * HALF]; bare && !err && k < p->start[2 * HALF + 1]; k++)
		if (chain_is_bare(&VEC_AT(&p->chains, struct chain, k)))
			err = self_link(n, VEC_AT(&p->chains, struct chain, k).macro);
	return err;
}

int calling_find(struct resolver *r, const struct matches *p, struct calling *n)
{
	int err = hmap_init(&n->of, 16);

	err = err ? err : hmap_init(&n->known, 16);
	err = err ? err : link_matched(p, n);
	for (int round = 0; !err && round < ROUNDS; round++)
		for (uint32_t i = 0; !err && i < r->n_referrers; i++) {
			const struct referrer *m = &r->referrers[i];
			const uint64_t *refs = r->referrer_refs + m->first;

			if (!m->macro || !(m->flags & MACRO_FUNCTION))
				continue;
			for (uint32_t k = 0; !err && k < m->n; k++) {
				if (hmap_get(&n->of, refs[k]) == HMAP_NONE)
					continue;
				err = add_link(n, refs[k], m->hash);
				err = err < 0 ? err : self_link(n, m->hash);
			}
		}
	return err;
}

static void collect_callers(const struct calling *n, uint64_t macro, struct callers *out)
{
	out->n = 1;
	out->macros[0] = macro;
	for (uint32_t i = 0; i < out->n; i++)
		for (uint32_t at = hmap_get(&n->of, out->macros[i]); at != HMAP_NONE;
		     at = VEC_AT(&n->pool, struct link, at).next) {
			uint64_t c = VEC_AT(&n->pool, struct link, at).caller;
			bool seen = false;

			for (uint32_t j = 0; j < out->n; j++)
				seen |= out->macros[j] == c;
			if (!seen && out->n < CALLERS)
				out->macros[out->n++] = c;
		}
}

const struct callers *callers_of(struct calling *n, uint64_t macro)
{
	uint32_t *slot = hmap_slot(&n->known, macro);
	struct callers c;

	if (slot && *slot == HMAP_NONE) {
		collect_callers(n, macro, &c);
		*slot = VEC_N(&n->found, struct callers);
		if (vec_push(&n->found, &c, sizeof(c)))
			return NULL;
	}
	return slot ? &VEC_AT(&n->found, struct callers, *slot) : NULL;
}

void calling_fini(struct calling *n)
{
	hmap_fini(&n->of);
	hmap_fini(&n->known);
	free(n->pool.data);
	free(n->found.data);
}
