// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Names that macros build with ##. A macro's chain "foo_ ## x ## _bar" fits a symbol if
 * the pieces do; that the macro is called with that x somewhere is then looked up. A
 * macro that hands its own arguments to such a macro counts like it.
 */

#include <errno.h>
#include <stdio.h>

#include "text/lex.h"
#include "graph/counted.h"
#include "base/vec.h"
#include "text/args.h"

#define PIECES 7
#define LITERAL_MIN 2  /* characters of the name that the macro must supply */
#define EVIDENCE_MIN 5 /* the same, to call it undecided on circumstances */
#define ROUNDS 3       /* of macros that call macros that paste */

enum piece_kind { PIECE_LITERAL, PIECE_PARAM, PIECE_OPERAND /* %c0 in asm: a number */ };

struct piece {
	const char *s;
	uint32_t len;
	enum piece_kind kind;
};

struct chain {
	uint64_t macro;
	uint32_t entity;
	uint32_t n, literal;
	uint32_t bucket;
	struct piece pieces[PIECES];
};

struct match {
	uint32_t symbol;
	uint32_t chain;
	uint32_t end; /* all bare chains from chain to this one fit; 0: chain alone does */
	uint32_t n_args, literal;
	uint64_t arg[2];
	bool counted; /* an argument is a number: it may come from a list made by macros */
};

/* A macro through which a bare chain may be called with an argument. */
struct call {
	uint64_t macro;
	uint32_t chain;
};

struct calls {
	uint32_t first, end; /* in paste.calls */
};

#define HALF 8192u              /* buckets by the head of a name, and by its tail */
#define BUCKETS (2 * HALF + 1u) /* and one for names of which neither is known */
#define KEY 8u                  /* characters, at most, that tell buckets apart */
#define BARE_MIN 4 /* characters before the number in a name built from arguments only */

struct paste {
	struct resolver *r;
	struct counted *handed;
	struct vec chains, matches;
	struct chain *chain; /* being matched */
	struct match current;
	struct match bare; /* its chains from chain on are still to be noted, if it has arguments */
	struct refs_seen seen;
	struct hmap prefixes; /* of names for bare chains, to a place in called */
	struct vec called, calls;
	uint64_t *pairs;     /* by chain: see pairs_of() */
	uint64_t name_pairs; /* of the name that is matched */
	uint32_t start[BUCKETS + 1];
	int err;
};

static bool is_param(const struct arg *params, size_t n, const struct token *t)
{
	for (size_t i = 0; i < n; i++)
		if (params[i].len == t->len && !memcmp(params[i].s, t->s, t->len))
			return true;
	return false;
}

static void piece(struct chain *c, const char *at, size_t len, enum piece_kind kind)
{
	if (c->n < PIECES)
		c->pieces[c->n] = (struct piece){ at, (uint32_t)len, kind };
	c->n++;
	c->literal += kind == PIECE_LITERAL ? (uint32_t)len : 0;
}

/* Of 1 to KEY characters, each number of them with buckets of its own: none is visited twice. */
static uint32_t key(const char *s, size_t n)
{
	return (uint32_t)((n - 1) * (HALF / KEY) + (blob_hash(s, n) >> 32) % (HALF / KEY));
}

/* By the first characters if they are the macro's, else by the last, else all together. */
static uint32_t bucket(const struct chain *c)
{
	const struct piece *first = &c->pieces[0], *last = &c->pieces[c->n - 1];

	if (first->kind == PIECE_LITERAL)
		return key(first->s, first->len < KEY ? first->len : KEY);
	if (last->kind != PIECE_LITERAL)
		return 2 * HALF;
	if (last->len < KEY)
		return HALF + key(last->s, last->len);
	return HALF + key(last->s + last->len - KEY, KEY);
}

static void keep(struct paste *p, struct chain *c)
{
	bool any = false;

	for (uint32_t i = 0; i < c->n && i < PIECES; i++)
		any |= c->pieces[i].kind != PIECE_LITERAL;
	bool bare = c->n == 2 && !c->literal; /* a ## b: fits with a number at the end only */

	if (c->n >= 2 && c->n <= PIECES && any && (bare || c->literal >= LITERAL_MIN)) {
		c->bucket = bucket(c);
		p->err = p->err ? p->err : vec_push(&p->chains, c, sizeof(*c));
	}
	c->n = c->literal = 0;
}

/* Text for the assembler: words of it, %-operands in them; other characters end a chain. */
static void asm_string(struct paste *p, struct chain *c, const struct token *t)
{
	const char *s = t->s, *end = t->s + t->len;

	while (s < end) {
		size_t n = 0;

		while (s + n < end && is_word(s + n, 1) && s[n] != '$')
			n++;
		if (n) {
			piece(c, s, n, PIECE_LITERAL);
			s += n;
		} else if (*s == '%' && s + 1 < end && (s[1] == 'c' || s[1] == 'P')) {
			piece(c, s, 0, PIECE_OPERAND);
			s += 2;
			if (s < end && *s == '[')
				s = memchr(s, ']', (size_t)(end - s)) ?: end - 1;
			s += s < end;
		} else {
			keep(p, c);
			s++;
		}
	}
}

/* Chains of one macro's body: joined by ##, or strings and #parameters side by side. */
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
		bool param = word && is_param(names, n, &t);

		if (t.type == T_PASTE) {
			if (!c.n && (last.type == T_IDENT || last.type == T_NUMBER))
				piece(&c, last.s, last.len,
				      is_param(names, n, &last) ? PIECE_PARAM : PIECE_LITERAL);
			joining = c.n > 0;
		} else if (joining && word) {
			piece(&c, t.s, t.len, param ? PIECE_PARAM : PIECE_LITERAL);
			joining = false;
		} else if (param && last.type == '#') {
			piece(&c, t.s, t.len, PIECE_PARAM);
		} else if (t.type == T_STRING) {
			asm_string(p, &c, &t);
		} else if (t.type != '#') {
			keep(p, &c);
			joining = false;
		}
		last = t;
	}
	keep(p, &c);
}

static bool is_bare(const struct chain *c)
{
	return !c->literal && c->pieces[0].kind == PIECE_PARAM;
}

/*
 * A bare chain fits every name that ends in a number: they are noted all together, and before
 * what fits after them.
 */
static void note_bare(struct paste *p, uint32_t end)
{
	struct match m = p->bare;

	m.end = end;
	if (!m.n_args || m.chain >= end)
		return;
	p->bare.chain = end;
	p->err = p->err ? p->err : vec_push(&p->matches, &m, sizeof(m));
}

static void note_match(struct paste *p)
{
	note_bare(p, p->current.chain);
	p->err = p->err ? p->err : vec_push(&p->matches, &p->current, sizeof(p->current));
}

static void try_match(struct paste *p, const char *rest, size_t left, uint32_t at);

static void try_argument(struct paste *p, const char *rest, size_t n, size_t left, uint32_t at)
{
	struct match *m = &p->current;
	bool counted = m->counted;

	if (m->n_args == 2)
		return;
	m->arg[m->n_args++] = blob_hash(rest, n);
	m->counted |= strspn(rest, "0123456789") >= n;
	try_match(p, rest + n, left - n, at + 1);
	m->n_args--;
	m->counted = counted;
}

static void try_match(struct paste *p, const char *rest, size_t left, uint32_t at)
{
	const struct chain *c = p->chain;
	const struct piece *piece = &c->pieces[at], *next = at + 1 < c->n ? piece + 1 : NULL;
	size_t n;

	if (at == c->n) {
		if (!left)
			note_match(p);
	} else if (piece->kind == PIECE_LITERAL) {
		if (left >= piece->len && !memcmp(rest, piece->s, piece->len))
			try_match(p, rest + piece->len, left - piece->len, at + 1);
	} else if (piece->kind == PIECE_OPERAND) {
		n = strspn(rest, "0123456789");
		if (n)
			try_match(p, rest + n, left - n, at + 1);
	} else if (!next) {
		if (left)
			try_argument(p, rest, left, left, at);
		else if (p->current.n_args) /* nothing given for it */
			try_match(p, rest, left, at + 1);
	} else {
		for (n = 1; n < left; n++) {
			/* two arguments are told apart only at an underscore: else all fits */
			if (next->kind == PIECE_LITERAL
				    ? left - n < next->len || rest[n] != *next->s ||
					      memcmp(rest + n, next->s, next->len)
				    : rest[n] != '_' && rest[n - 1] != '_')
				continue;
			try_argument(p, rest, n, left, at);
		}
	}
}

static bool open_question(const struct symbol *s)
{
	return !s->modular && !s->unexpanded;
}

static int by_bucket(const void *a, const void *b)
{
	const struct chain *x = a, *y = b;

	if (x->bucket != y->bucket)
		return x->bucket < y->bucket ? -1 : 1;
	return x->entity < y->entity ? -1 : x->entity > y->entity;
}

/* Pairs of neighbouring characters, as bits: a name has those of all literals of a chain. */
static uint64_t pairs_of(const char *s, size_t n)
{
	uint64_t bits = 0;

	for (size_t i = 1; i < n; i++)
		bits |= 1ull << (((uint8_t)s[i - 1] * 37u + (uint8_t)s[i]) * 0x9e3779b1u >> 26);
	return bits;
}

static int read_pairs(struct paste *p)
{
	uint32_t n = VEC_N(&p->chains, struct chain);

	p->pairs = calloc(n + 1, sizeof(*p->pairs));
	for (uint32_t k = 0; p->pairs && k < n; k++) {
		const struct chain *c = &VEC_AT(&p->chains, struct chain, k);

		for (uint32_t i = 0; i < c->n; i++)
			if (c->pieces[i].kind == PIECE_LITERAL)
				p->pairs[k] |= pairs_of(c->pieces[i].s, c->pieces[i].len);
	}
	return p->pairs ? 0 : -ENOMEM;
}

static void match_bucket(struct paste *p, uint32_t symbol, const char *name, uint32_t b)
{
	size_t n = strlen(name);
	uint64_t pairs = p->name_pairs;

	for (uint32_t k = p->start[b]; k < p->start[b + 1] && !p->err; k++) {
		if (p->pairs[k] & ~pairs)
			continue;
		p->chain = &VEC_AT(&p->chains, struct chain, k);
		if (is_bare(p->chain))
			continue;
		p->current = (struct match){ .symbol = symbol,
					     .chain = k,
					     .literal = p->chain->literal };
		try_match(p, name, n, 0);
	}
}

static void match_last(struct paste *p, uint32_t symbol, const char *name, size_t len)
{
	size_t n = len;

	while (n && name[n - 1] >= '0' && name[n - 1] <= '9')
		n--;
	if (n < len && n >= BARE_MIN)
		p->bare = (struct match){ .symbol = symbol,
					  .chain = p->start[2 * HALF],
					  .n_args = 2,
					  .arg = { blob_hash(name, n),
						   blob_hash(name + n, len - n) } };
	match_bucket(p, symbol, name, 2 * HALF);
	note_bare(p, p->start[2 * HALF + 1]);
	p->bare.n_args = 0;
}

static void match_name(struct paste *p, uint32_t symbol, const char *name)
{
	size_t n = strlen(name);

	p->name_pairs = pairs_of(name, n);
	for (size_t k = 1; k <= KEY && k <= n; k++)
		match_bucket(p, symbol, name, key(name, k));
	for (size_t k = 1; k <= KEY && k <= n; k++)
		match_bucket(p, symbol, name, HALF + key(name + n - k, k));
	match_last(p, symbol, name, n);
}

static void match_all(struct paste *p)
{
	struct resolver *r = p->r;
	uint32_t n = VEC_N(&p->chains, struct chain);

	if (n)
		qsort(p->chains.data, n, sizeof(struct chain), by_bucket);
	for (uint32_t k = 0; k < n; k++)
		p->start[VEC_AT(&p->chains, struct chain, k).bucket + 1]++;
	for (uint32_t b = 0; b < BUCKETS; b++)
		p->start[b + 1] += p->start[b];
	p->err = p->err ? p->err : read_pairs(p);
	for (uint32_t i = 0; i < r->n_symbols && !p->err; i++) {
		struct symbol *s = &r->symbols[i];

		if (!open_question(s))
			continue;
		match_name(p, i, s->name);
		if (strcmp(s->name, s->stem))
			match_name(p, i, s->stem);
		for (uint32_t k = 0; k < VEC_N(&s->reached, uint32_t); k++)
			match_name(p, i, entity_name(r, VEC_AT(&s->reached, uint32_t, k)));
	}
}

/* Which macros call a macro: lists in a pool, each macro in its own. */
struct names {
	struct hmap of; /* macro to a list in pool */
	struct vec pool;
	struct hmap known; /* macro to its place in found, once asked for */
	struct vec found;
};

#define CALLERS 48u /* through which one macro is looked for */

struct callers {
	uint32_t n;
	uint64_t macros[CALLERS];
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

static int self_link(struct names *n, uint64_t macro)
{
	int err = add_link(n, macro, macro);

	return err < 0 ? err : 0;
}

/* The macros of all that fit. */
static int link_matched(struct paste *p, struct names *n)
{
	bool bare = false;
	int err = 0;

	for (uint32_t i = 0; !err && i < VEC_N(&p->matches, struct match); i++) {
		const struct match *m = &VEC_AT(&p->matches, struct match, i);

		bare |= m->end != 0;
		if (!m->end)
			err = self_link(n, VEC_AT(&p->chains, struct chain, m->chain).macro);
	}
	for (uint32_t k = p->start[2 * HALF]; bare && !err && k < p->start[2 * HALF + 1]; k++)
		if (is_bare(&VEC_AT(&p->chains, struct chain, k)))
			err = self_link(n, VEC_AT(&p->chains, struct chain, k).macro);
	return err;
}

static int find_callers(struct paste *p, struct names *n)
{
	struct resolver *r = p->r;
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

static void collect_callers(const struct names *n, uint64_t macro, struct callers *out)
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

/* All macros through which the macro may be called, itself first. Valid until the next call. */
static const struct callers *callers_of(struct names *n, uint64_t macro)
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

/* What no file refers to needs no look-up. */
static int want(const struct paste *p, struct hmap *keys, uint64_t key)
{
	return !refs_seen(&p->seen, key) || hmap_slot(keys, key) ? 0 : -ENOMEM;
}

static bool is_weak(const struct paste *p, const struct match *m)
{
	return VEC_AT(&p->chains, struct chain, m->chain).literal && m->n_args &&
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

static int want_match(struct paste *p, struct names *n, struct hmap *keys, const struct match *m,
		      bool *found)
{
	const struct callers *callers =
		callers_of(n, VEC_AT(&p->chains, struct chain, m->chain).macro);
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
	const struct chain *c = &VEC_AT(&p->chains, struct chain, chain);
	struct match one = *m;

	one.chain = chain;
	one.end = 0;
	one.n_args = c->pieces[1].kind == PIECE_PARAM ? 2 : 1;
	one.counted = one.n_args == 2;
	return one;
}

/* All bare chains' macros, as far as some file may call them with what stands before the number. */
static int find_calls(struct paste *p, struct names *n, uint64_t prefix)
{
	int err = 0;

	for (uint32_t k = p->start[2 * HALF]; k < p->start[2 * HALF + 1]; k++) {
		const struct chain *chain = &VEC_AT(&p->chains, struct chain, k);
		const struct callers *callers = is_bare(chain) ? callers_of(n, chain->macro) : NULL;

		if (is_bare(chain) && !callers)
			return -ENOMEM;
		for (uint32_t c = 0; !err && callers && c < callers->n; c++) {
			struct call call = { callers->macros[c], k };

			if (refs_seen(&p->seen, blob_hash_pair(call.macro, prefix)))
				err = vec_push(&p->calls, &call, sizeof(call));
		}
	}
	return err;
}

static int calls_of(struct paste *p, struct names *n, uint64_t prefix, struct calls *out)
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

static int want_bare(struct paste *p, struct names *n, struct hmap *keys, const struct match *m,
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

/* Matches for which nothing is there to be looked up go. */
static int wanted_keys(struct paste *p, struct names *n, struct hmap *keys)
{
	uint32_t kept = 0;
	int err = 0;

	for (uint32_t i = 0; !err && i < VEC_N(&p->matches, struct match); i++) {
		const struct match *m = &VEC_AT(&p->matches, struct match, i);
		bool found = false;

		err = m->end ? want_bare(p, n, keys, m, &found) : want_match(p, n, keys, m, &found);
		if (found)
			VEC_AT(&p->matches, struct match, kept++) = *m;
	}
	p->matches.n = kept * sizeof(struct match);
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
 * The macro is called with all the arguments, each alone, but for a number that another
 * macro counts: that is the name.
 */
static int certain(struct paste *p, const struct index *x, const struct match *m, uint64_t macro)
{
	struct resolver *r = p->r;
	struct symbol *s = &r->symbols[m->symbol];
	uint32_t n, e = VEC_AT(&p->chains, struct chain, m->chain).entity;
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
 * The macro and the argument are in one file, but the call has calls for arguments; or the
 * argument is a number and the macro itself is handed to something that counts.
 */
static int circumstantial(struct paste *p, const struct index *x, const struct match *m,
			  uint64_t macro)
{
	struct resolver *r = p->r;
	struct symbol *s = &r->symbols[m->symbol];
	uint32_t n, e = VEC_AT(&p->chains, struct chain, m->chain).entity;
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

static int weigh_bare(struct paste *p, struct names *n, const struct index *x,
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

static int weigh(struct paste *p, struct names *n, const struct index *x)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < VEC_N(&p->matches, struct match); i++) {
		const struct match *m = &VEC_AT(&p->matches, struct match, i);
		const struct callers *callers = NULL;

		if (m->end) {
			err = weigh_bare(p, n, x, m);
			continue;
		}
		callers = callers_of(n, VEC_AT(&p->chains, struct chain, m->chain).macro);
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
	struct names n = { 0 };
	struct index x = { 0 };
	int err;

	p.err = counted_new(r, &p.handed);
	for (uint32_t i = 0; !p.err && i < VEC_N(&r->pasters, uint32_t); i++)
		read_chains(&p, VEC_AT(&r->pasters, uint32_t, i));
	if (!p.err)
		match_all(&p);
	err = p.err ? p.err : find_callers(&p, &n);
	err = err ? err : hmap_init(&x.keys, r->n_files);
	err = err ? err : hmap_init(&p.prefixes, 16);
	err = err ? err : refs_seen_init(r, &p.seen);
	err = err ? err : wanted_keys(&p, &n, &x.keys);
	err = err ? err : index_uses(r, &x);
	err = err ? err : weigh(&p, &n, &x);
	err = err ? err : consume_indirect(r, true);
	index_free(&x);
	counted_free(p.handed);
	hmap_fini(&n.of);
	hmap_fini(&n.known);
	free(n.pool.data);
	free(n.found.data);
	hmap_fini(&p.prefixes);
	free(p.seen.words);
	free(p.pairs);
	free(p.called.data);
	free(p.calls.data);
	free(p.chains.data);
	free(p.matches.data);
	return err;
}
