// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Names that macros build with ##. A chain "foo_ ## x ## _bar" fits a symbol if its pieces do. Then
 * the calls of the macro with that x are looked up. A macro that hands its own arguments to such a
 * macro counts like it.
 */
#include "graph/paste.h"
#include "base/vec.h"
#include "graph/callers.h"
#include "graph/counted.h"
#include "graph/entities.h"
#include "graph/index.h"
#include "graph/indirect.h"
#include "graph/outside.h"

#include <errno.h>
#include <stdio.h>

#define EVIDENCE_MIN 5 /* literal characters that a match needs to make a symbol undecided */

/* A macro through which a bare chain may be called with an argument. */
struct call {
	uint64_t macro;
	uint32_t chain;
};

struct calls {
	uint32_t first, end; /* in paste.calls */
};

struct paste {
	struct resolver *r;
	struct counted *handed;
	struct matches fits;
	struct refs_seen seen;
	struct hmap prefixes; /* of names for bare chains, to a place in called */
	struct vec called, calls;
};

/* A name that no file refers to needs no look-up. */
static int want(const struct paste *p, struct hmap *keys, uint64_t key)
{
	return !refs_seen(&p->seen, key) || hmap_slot(keys, key) ? 0 : -ENOMEM;
}

static bool is_weak(const struct paste *p, const struct match *m)
{
	return VEC_AT(&p->fits.chains, struct chain, m->chain).literal && m->n_args &&
	       m->literal >= EVIDENCE_MIN;
}

/* What certain() looks up, for one macro. */
static int want_certain(const struct paste *p, struct hmap *keys, const struct match *m,
			uint64_t macro, bool *found)
{
	uint64_t first = m->n_args ? blob_hash_pair(macro, m->arg[0]) : macro;
	int err;

	if (!refs_seen(&p->seen, first))
		return 0;
	*found = true;
	err = want(p, keys, first);
	if (m->n_args == 2)
		err = err ? err : want(p, keys, blob_hash_pair(macro, m->arg[1]));
	if (m->n_args == 2 && m->counted)
		err = err ? err : want(p, keys, blob_hash_pair(macro, BLOB_NESTED));
	return err;
}

/* What circumstantial() looks up, for one macro. */
static int want_weak(const struct paste *p, struct hmap *keys, const struct match *m,
		     uint64_t macro, bool *found)
{
	int err;

	if (!refs_seen(&p->seen, macro))
		return 0;
	*found = true;
	err = want(p, keys, macro);
	for (uint32_t a = 0; !m->counted && !err && a < m->n_args; a++)
		err = want(p, keys, m->arg[a]);
	return err || m->counted ? err : want(p, keys, blob_hash_pair(macro, BLOB_NESTED));
}

static int want_match(struct paste *p, struct calling *n, struct hmap *keys, const struct match *m,
		      bool *found)
{
	const struct callers *callers =
		callers_of(n, VEC_AT(&p->fits.chains, struct chain, m->chain).macro);
	bool weak = is_weak(p, m);
	int err = callers ? 0 : -ENOMEM;

	for (uint32_t c = 0; !err && c < callers->n; c++) {
		err = want_certain(p, keys, m, callers->macros[c], found);
		if (weak && !err)
			err = want_weak(p, keys, m, callers->macros[c], found);
	}
	return err;
}

static struct match bare_match(const struct paste *p, const struct match *m, uint32_t chain)
{
	const struct chain *c = &VEC_AT(&p->fits.chains, struct chain, chain);
	struct match one = *m;

	one.chain = chain;
	one.end = 0;
	one.n_args = c->pieces[1].kind == PIECE_PARAM ? 2 : 1;
	one.counted = one.n_args == 2;
	return one;
}

/* Collects the macros of bare chains that some file may call with PREFIX as an argument. */
static int find_calls(struct paste *p, struct calling *n, uint64_t prefix)
{
	int err = 0;

	for (uint32_t k = p->fits.start[2 * HALF]; k < p->fits.start[2 * HALF + 1]; k++) {
		const struct chain *chain = &VEC_AT(&p->fits.chains, struct chain, k);
		const struct callers *callers =
			chain_is_bare(chain) ? callers_of(n, chain->macro) : NULL;

		if (chain_is_bare(chain) && !callers)
			return -ENOMEM;
		for (uint32_t c = 0; !err && callers && c < callers->n; c++) {
			struct call call = { callers->macros[c], k };

			if (refs_seen(&p->seen, blob_hash_pair(call.macro, prefix)))
				err = vec_push(&p->calls, &call, sizeof(call));
		}
	}
	return err;
}

static int calls_of(struct paste *p, struct calling *n, uint64_t prefix, struct calls *out)
{
	uint32_t *slot = hmap_slot(&p->prefixes, prefix);
	int err = 0;

	if (!slot)
		return -ENOMEM;
	if (*slot == HMAP_NONE) {
		*slot = VEC_N(&p->called, struct calls);
		out->first = VEC_N(&p->calls, struct call);
		err = find_calls(p, n, prefix);
		out->end = VEC_N(&p->calls, struct call);
		return err ? err : vec_push(&p->called, out, sizeof(*out));
	}
	*out = VEC_AT(&p->called, struct calls, *slot);
	return 0;
}

static int want_bare(struct paste *p, struct calling *n, struct hmap *keys, const struct match *m,
		     bool *found)
{
	struct calls calls;
	int err = calls_of(p, n, m->arg[0], &calls);

	for (uint32_t i = calls.first; !err && i < calls.end; i++) {
		const struct call *call = &VEC_AT(&p->calls, struct call, i);
		struct match one = bare_match(p, m, call->chain);

		if (call->chain >= m->chain && call->chain < m->end)
			err = want_certain(p, keys, &one, call->macro, found);
	}
	return err;
}

/* Collects the names to be looked up, and drops the matches that have none. */
static int wanted_keys(struct paste *p, struct calling *n, struct hmap *keys)
{
	uint32_t kept = 0;
	int err = 0;

	for (uint32_t i = 0; !err && i < VEC_N(&p->fits.v, struct match); i++) {
		const struct match *m = &VEC_AT(&p->fits.v, struct match, i);
		bool found = false;

		err = m->end ? want_bare(p, n, keys, m, &found) : want_match(p, n, keys, m, &found);
		if (found)
			VEC_AT(&p->fits.v, struct match, kept++) = *m;
	}
	p->fits.v.n = kept * sizeof(struct match);
	return err;
}

static const struct use *uses(const struct index *x, uint64_t key, uint32_t *n)
{
	uint32_t slot = hmap_get(&x->keys, key);

	*n = slot == HMAP_NONE ? 0 : x->first[slot + 1] - x->first[slot];
	return slot == HMAP_NONE ? NULL : x->uses + x->first[slot];
}

static bool used_in(const struct index *x, uint64_t key, uint32_t file)
{
	uint32_t n, lo = 0;
	const struct use *u = uses(x, key, &n);

	while (lo < n) { /* uses are in order of files */
		uint32_t mid = lo + (n - lo) / 2;

		if (u[mid].file == file)
			return true;
		if (u[mid].file < file)
			lo = mid + 1;
		else
			n = mid;
	}
	return false;
}

/*
 * A certain use: the macro is called with all arguments of the match, each a sole argument. A
 * number may also come from a nested call, as of a macro that counts.
 */
static int certain(struct paste *p, const struct index *x, const struct match *m, uint64_t macro)
{
	struct resolver *r = p->r;
	struct symbol *s = &r->symbols[m->symbol];
	uint32_t n, e = VEC_AT(&p->fits.chains, struct chain, m->chain).entity;
	const struct use *u = uses(x, m->n_args ? blob_hash_pair(macro, m->arg[0]) : macro, &n);
	int err = 0;

	for (uint32_t i = 0; !err && i < n; i++) {
		if (m->n_args == 2 && !used_in(x, blob_hash_pair(macro, m->arg[1]), u[i].file) &&
		    (!m->counted || !used_in(x, blob_hash_pair(macro, BLOB_NESTED), u[i].file)))
			continue;
		if (r->is_tu[u[i].file] && !entity_visible(r, u[i].file, e))
			continue;
		err = vec_push(&s->pasted, &u[i], sizeof(u[i]));
	}
	return err;
}

/*
 * A possible use: the file has the macro and the arguments, but calls stand in the place of
 * arguments; or the argument is a number, and the macro is handed to a macro that counts.
 */
static int circumstantial(struct paste *p, const struct index *x, const struct match *m,
			  uint64_t macro)
{
	struct resolver *r = p->r;
	struct symbol *s = &r->symbols[m->symbol];
	uint32_t n, e = VEC_AT(&p->fits.chains, struct chain, m->chain).entity;
	const struct use *u = uses(x, macro, &n);

	if (!is_weak(p, m) || s->reason || s->modular || n > 4096)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		if (u[i].owner != NO_OWNER || !r->is_tu[u[i].file] || !outside(r, s, u[i].file) ||
		    !entity_visible(r, u[i].file, e))
			continue;
		if (!m->counted && (!used_in(x, blob_hash_pair(macro, BLOB_NESTED), u[i].file) ||
				    !used_in(x, m->arg[0], u[i].file) ||
				    (m->n_args == 2 && !used_in(x, m->arg[1], u[i].file))))
			continue;
		if (m->counted && entity(r, e)->hash == macro) {
			int is = counted_names(p->handed, u[i].file, e,
					       VEC_AT(&s->names, uint64_t, 0));

			if (is == 1)
				return consumes(r, s, u[i].file)
					       ? vec_push(&s->direct, &u[i].file, sizeof(uint32_t))
					       : 0;
			if (is == -ENOMEM)
				return is;
			if (!is)
				continue;
		}
		return asprintf(&s->reason, "macro %s may build the name in %s", entity_name(r, e),
				r->files[u[i].file].path) < 0
			       ? -ENOMEM
			       : 0;
	}
	return 0;
}

static int weigh_bare(struct paste *p, struct calling *n, const struct index *x,
		      const struct match *m)
{
	struct calls calls;
	int err = calls_of(p, n, m->arg[0], &calls);

	for (uint32_t i = calls.first; !err && i < calls.end; i++) {
		const struct call *call = &VEC_AT(&p->calls, struct call, i);
		struct match one = bare_match(p, m, call->chain);

		if (call->chain >= m->chain && call->chain < m->end)
			err = certain(p, x, &one, call->macro);
	}
	return err;
}

static int weigh(struct paste *p, struct calling *n, const struct index *x)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < VEC_N(&p->fits.v, struct match); i++) {
		const struct match *m = &VEC_AT(&p->fits.v, struct match, i);
		const struct callers *callers = NULL;

		if (m->end) {
			err = weigh_bare(p, n, x, m);
			continue;
		}
		callers = callers_of(n, VEC_AT(&p->fits.chains, struct chain, m->chain).macro);
		err = callers ? 0 : -ENOMEM;
		for (uint32_t c = 0; !err && c < callers->n; c++) {
			err = certain(p, x, m, callers->macros[c]);
			err = err ? err : circumstantial(p, x, m, callers->macros[c]);
		}
	}
	return err;
}

int consume_pasted(struct resolver *r)
{
	struct paste p = { .r = r };
	struct calling n = { 0 };
	struct index x = { 0 };
	int err = counted_new(r, &p.handed);

	err = err ? err : matches_find(r, &p.fits);
	err = err ? err : calling_find(r, &p.fits, &n);
	err = err ? err : hmap_init(&x.keys, r->n_files);
	err = err ? err : hmap_init(&p.prefixes, 16);
	err = err ? err : refs_seen_init(r, &p.seen);
	err = err ? err : wanted_keys(&p, &n, &x.keys);
	err = err ? err : index_uses(r, &x);
	err = err ? err : weigh(&p, &n, &x);
	err = err ? err : consume_indirect(r, true);
	index_free(&x);
	counted_free(p.handed);
	calling_fini(&n);
	hmap_fini(&p.prefixes);
	free(p.seen.words);
	free(p.called.data);
	free(p.calls.data);
	matches_fini(&p.fits);
	return err;
}
