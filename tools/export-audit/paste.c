// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Names that macros build with ##. A macro's chain "foo_ ## x ## _bar" fits a symbol if
 * the pieces do; that the macro is called with that x somewhere is then looked up. A
 * macro that hands its own arguments to such a macro counts like it.
 */

#include <errno.h>
#include <stdio.h>

#include "exports.h"
#include "lex.h"
#include "resolve.h"

#define PIECES 7
#define LITERAL_MIN 2	/* characters of the name that the macro must supply */
#define EVIDENCE_MIN 5	/* the same, to call it undecided on circumstances */
#define ROUNDS 3	/* of macros that call macros that paste */

struct piece {
	const char *s; /* NULL: a parameter */
	size_t len;
};

struct chain {
	uint64_t macro;
	uint32_t entity;
	uint32_t n, literal;
	struct piece pieces[PIECES];
};

struct match {
	uint32_t symbol;
	uint32_t chain;
	uint64_t arg[2];
	uint32_t n_args, literal;
};

struct caller {
	uint64_t macro;
	uint32_t match; /* first match of the macro called, by chain */
};

struct paste {
	struct resolver *r;
	struct vec chains, matches;
	struct chain *chain; /* being read */
	struct match current;
	int err;
};

static bool is_param(const struct arg *params, size_t n, const struct token *t)
{
	for (size_t i = 0; i < n; i++)
		if (params[i].len == t->len && !memcmp(params[i].s, t->s, t->len))
			return true;
	return false;
}

static void piece(struct chain *c, const struct token *t, bool param)
{
	if (c->n < PIECES)
		c->pieces[c->n] = (struct piece){ param ? NULL : t->s, t->len };
	c->n++;
	c->literal += param ? 0 : (uint32_t)t->len;
}

static void keep(struct paste *p, struct chain *c)
{
	bool any = false;

	for (uint32_t i = 0; i < c->n && i < PIECES; i++)
		any |= !c->pieces[i].s;
	if (c->n >= 2 && c->n <= PIECES && any && c->literal >= LITERAL_MIN)
		p->err = p->err ? p->err : vec_push(&p->chains, c, sizeof(*c));
	c->n = c->literal = 0;
}

/* Chains of one macro's body. */
static void read_chains(struct paste *p, uint32_t e)
{
	struct resolver *r = p->r;
	const struct blob *b = r->files[r->entity_file[e]].blob;
	const struct blob_entity *m = entity(r, e);
	const char *body = blob_str(b, m->body_str), *params = blob_str(b, m->params_str);
	struct lex l = { .p = body, .end = body + strlen(body), .in_body = true };
	struct chain c = { .macro = m->hash, .entity = e };
	struct token t, last = { 0 };
	struct arg names[24];
	size_t n = split_args(params, strlen(params), names, 24);
	bool joining = false;

	while (lex_next(&l, &t)) {
		bool word = t.type == T_IDENT || t.type == T_NUMBER;

		if (t.type == T_PASTE) {
			if (!c.n && (last.type == T_IDENT || last.type == T_NUMBER))
				piece(&c, &last, is_param(names, n, &last));
			joining = c.n > 0;
		} else if (joining && word) {
			piece(&c, &t, is_param(names, n, &t));
			joining = false;
		} else {
			keep(p, &c);
			joining = false;
		}
		last = t;
	}
	keep(p, &c);
}

static void try_match(struct paste *p, const char *rest, uint32_t at)
{
	struct chain *c = p->chain;
	struct piece *piece = &c->pieces[at];
	size_t left = strlen(rest);

	if (at == c->n) {
		if (!left)
			p->err = p->err ? p->err : vec_push(&p->matches, &p->current, sizeof(p->current));
		return;
	}
	if (piece->s) {
		if (left >= piece->len && !memcmp(rest, piece->s, piece->len))
			try_match(p, rest + piece->len, at + 1);
		return;
	}
	if (p->current.n_args == 2)
		return;
	for (size_t n = at + 1 == c->n ? left : 1; n <= left && left; n++) {
		/* between two arguments only at an underscore: else everything fits */
		if (at + 1 < c->n && !c->pieces[at + 1].s && rest[n] != '_' && rest[n - 1] != '_')
			continue;
		p->current.arg[p->current.n_args++] = blob_hash(rest, n);
		try_match(p, rest + n, at + 1);
		p->current.n_args--;
	}
}

static bool open_question(const struct symbol *s)
{
	return !s->direct.n && !s->indirect.n && !s->unexpanded;
}

static void match_all(struct paste *p)
{
	struct resolver *r = p->r;

	for (uint32_t i = 0; i < r->n_symbols; i++) {
		const char *forms[2] = { r->symbols[i].name, r->symbols[i].stem };

		if (!open_question(&r->symbols[i]))
			continue;
		for (int f = 0; f < (strcmp(forms[0], forms[1]) ? 2 : 1); f++)
			for (uint32_t k = 0; k < VEC_N(&p->chains, struct chain) && !p->err; k++) {
				p->chain = &VEC_AT(&p->chains, struct chain, k);
				if (p->chain->pieces[0].s && p->chain->pieces[0].s[0] != forms[f][0])
					continue;
				p->current = (struct match){ .symbol = i, .chain = k,
							     .literal = p->chain->literal };
				try_match(p, forms[f], 0);
			}
	}
}

/* callers[i]: macro names that pass arguments on to the macro of match i. */
struct names {
	struct hmap of; /* macro to a list in pool */
	struct vec pool;
};

struct link {
	uint64_t caller;
	uint32_t next;
};

static int add_link(struct names *n, uint64_t macro, uint64_t caller)
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

static int find_callers(struct paste *p, struct names *n)
{
	struct resolver *r = p->r;
	int err = hmap_init(&n->of, 4096);

	for (uint32_t i = 0; !err && i < VEC_N(&p->matches, struct match); i++) {
		uint32_t c = VEC_AT(&p->matches, struct match, i).chain;
		uint64_t macro = VEC_AT(&p->chains, struct chain, c).macro;

		err = add_link(n, macro, macro);
		err = err < 0 ? err : 0;
	}
	for (int round = 0; !err && round < ROUNDS; round++)
		for (uint32_t e = 0; !err && e < r->n_entities; e++) {
			const struct blob_entity *m = entity(r, e);
			const uint64_t *refs = blob_refs(r->files[r->entity_file[e]].blob) + m->first_ref;

			if (m->kind != ENTITY_MACRO || !(m->flags & MACRO_FUNCTION))
				continue;
			for (uint32_t k = 0; !err && k < m->n_refs; k++) {
				uint32_t at = hmap_get(&n->of, refs[k]);

				/* only what calls a macro that pastes itself, or through its callers */
				for (; at != HMAP_NONE && err >= 0; at = VEC_AT(&n->pool, struct link, at).next)
					err = add_link(n, refs[k], m->hash);
				err = err < 0 ? err : 0;
			}
		}
	return err;
}

/* All macros through which the match's macro may be called, at most max. */
static uint32_t callers_of(struct names *n, uint64_t macro, uint64_t *out, uint32_t max)
{
	uint32_t k = 0;

	out[k++] = macro;
	for (uint32_t i = 0; i < k; i++)
		for (uint32_t at = hmap_get(&n->of, out[i]); at != HMAP_NONE;
		     at = VEC_AT(&n->pool, struct link, at).next) {
			uint64_t c = VEC_AT(&n->pool, struct link, at).caller;
			bool seen = false;

			for (uint32_t j = 0; j < k; j++)
				seen |= out[j] == c;
			if (!seen && k < max)
				out[k++] = c;
		}
	return k;
}

#define CALLERS 48u

static int wanted_keys(struct paste *p, struct names *n, struct hmap *keys)
{
	uint64_t macros[CALLERS];
	int err = 0;

	for (uint32_t i = 0; !err && i < VEC_N(&p->matches, struct match); i++) {
		const struct match *m = &VEC_AT(&p->matches, struct match, i);
		uint64_t macro = VEC_AT(&p->chains, struct chain, m->chain).macro;
		uint32_t k = callers_of(n, macro, macros, CALLERS);

		for (uint32_t c = 0; !err && c < k; c++) {
			for (uint32_t a = 0; !err && a < m->n_args; a++) {
				err = hmap_slot(keys, blob_hash_pair(macros[c], m->arg[a])) ? 0 : -ENOMEM;
				if (!err && m->literal >= EVIDENCE_MIN)
					err = hmap_slot(keys, m->arg[a]) ? 0 : -ENOMEM;
			}
			if (!err && m->literal >= EVIDENCE_MIN)
				err = hmap_slot(keys, macros[c]) ? 0 : -ENOMEM;
		}
	}
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

/* The macro is called with all the arguments, each alone: that is the name. */
static int certain(struct paste *p, const struct index *x, const struct match *m, uint64_t macro)
{
	struct resolver *r = p->r;
	struct symbol *s = &r->symbols[m->symbol];
	uint32_t n, e = VEC_AT(&p->chains, struct chain, m->chain).entity;
	const struct use *u = uses(x, blob_hash_pair(macro, m->arg[0]), &n);
	int err = 0;

	for (uint32_t i = 0; !err && i < n; i++) {
		if (m->n_args == 2 && !used_in(x, blob_hash_pair(macro, m->arg[1]), u[i].file))
			continue;
		if (r->is_tu[u[i].file] && !entity_visible(r, u[i].file, e))
			continue;
		err = vec_push(&s->pasted, &u[i], sizeof(u[i]));
	}
	return err;
}

/* The macro and the argument are in one file, but not as such a call. */
static int circumstantial(struct paste *p, const struct index *x, const struct match *m, uint64_t macro)
{
	struct resolver *r = p->r;
	struct symbol *s = &r->symbols[m->symbol];
	uint32_t n, e = VEC_AT(&p->chains, struct chain, m->chain).entity;
	const struct use *u = uses(x, macro, &n);

	if (m->literal < EVIDENCE_MIN || s->reason || n > 4096)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		if (u[i].owner != NO_OWNER || !r->is_tu[u[i].file] || !outside(r, s, u[i].file) ||
		    !used_in(x, m->arg[0], u[i].file) ||
		    (m->n_args == 2 && !used_in(x, m->arg[1], u[i].file)) ||
		    !entity_visible(r, u[i].file, e))
			continue;
		return asprintf(&s->reason, "macro %s may build the name in %s", entity_name(r, e),
				r->files[u[i].file].path) < 0 ? -ENOMEM : 0;
	}
	return 0;
}

static int weigh(struct paste *p, struct names *n, const struct index *x)
{
	uint64_t macros[CALLERS];
	int err = 0;

	for (uint32_t i = 0; !err && i < VEC_N(&p->matches, struct match); i++) {
		const struct match *m = &VEC_AT(&p->matches, struct match, i);
		uint32_t k = callers_of(n, VEC_AT(&p->chains, struct chain, m->chain).macro, macros, CALLERS);

		for (uint32_t c = 0; !err && c < k; c++) {
			err = certain(p, x, m, macros[c]);
			err = err ? err : circumstantial(p, x, m, macros[c]);
		}
	}
	return err;
}

int consume_pasted(struct resolver *r)
{
	struct paste p = { .r = r };
	struct names n = { 0 };
	struct index x = { 0 };
	int err;

	for (uint32_t e = 0; !p.err && e < r->n_entities; e++)
		if (entity(r, e)->flags & MACRO_PASTES && entity(r, e)->body_str)
			read_chains(&p, e);
	if (!p.err)
		match_all(&p);
	err = p.err ? p.err : find_callers(&p, &n);
	err = err ? err : hmap_init(&x.keys, 65536);
	err = err ? err : wanted_keys(&p, &n, &x.keys);
	err = err ? err : index_uses(r, &x);
	err = err ? err : weigh(&p, &n, &x);
	err = err ? err : consume_indirect(r, true);
	index_free(&x);
	hmap_fini(&n.of);
	free(n.pool.data);
	free(p.chains.data);
	free(p.matches.data);
	return err;
}
