// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Matches names with chains. */
#include "graph/match.h"
#include "base/vec.h"

#include <errno.h>

#define BARE_MIN 4 /* characters before the number in a name built from arguments only */

struct matching {
	struct resolver *r;
	struct matches *out;
	struct chain *chain; /* being matched */
	struct match current;
	struct match bare; /* its chains from chain on are still to be noted, if it has arguments */
	uint64_t *pairs;   /* by chain: see pairs_of() */
	uint64_t name_pairs; /* of the name that is matched */
	int err;
};

/*
 * A bare chain fits every name that ends in a number. So all bare chains before END are noted as
 * one match, before the match that comes after them.
 */
static void note_bare(struct matching *p, uint32_t end)
{
	struct match m = p->bare;

	m.end = end;
	if (!m.n_args || m.chain >= end)
		return;
	p->bare.chain = end;
	p->err = p->err ? p->err : vec_push(&p->out->v, &m, sizeof(m));
}

static void note_match(struct matching *p)
{
	note_bare(p, p->current.chain);
	p->err = p->err ? p->err : vec_push(&p->out->v, &p->current, sizeof(p->current));
}

static void try_match(struct matching *p, const char *rest, size_t left, uint32_t at);

static void try_argument(struct matching *p, const char *rest, size_t n, size_t left, uint32_t at)
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

static void try_match(struct matching *p, const char *rest, size_t left, uint32_t at)
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
		else if (p->current.n_args) /* an empty argument */
			try_match(p, rest, left, at + 1);
	} else {
		for (n = 1; n < left; n++) {
			/*
			 * two arguments part only at an underscore; without that rule all names
			 * would fit
			 */
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

/* Pairs of neighbouring characters, as bits. A name that fits has all pairs of the chain. */
static uint64_t pairs_of(const char *s, size_t n)
{
	uint64_t bits = 0;

	for (size_t i = 1; i < n; i++)
		bits |= 1ull << (((uint8_t)s[i - 1] * 37u + (uint8_t)s[i]) * 0x9e3779b1u >> 26);
	return bits;
}

static int read_pairs(struct matching *p)
{
	uint32_t n = VEC_N(&p->out->chains, struct chain);

	p->pairs = calloc(n + 1, sizeof(*p->pairs));
	for (uint32_t k = 0; p->pairs && k < n; k++) {
		const struct chain *c = &VEC_AT(&p->out->chains, struct chain, k);

		for (uint32_t i = 0; i < c->n; i++)
			if (c->pieces[i].kind == PIECE_LITERAL)
				p->pairs[k] |= pairs_of(c->pieces[i].s, c->pieces[i].len);
	}
	return p->pairs ? 0 : -ENOMEM;
}

static void match_bucket(struct matching *p, uint32_t symbol, const char *name, uint32_t b)
{
	size_t n = strlen(name);
	uint64_t pairs = p->name_pairs;

	for (uint32_t k = p->out->start[b]; k < p->out->start[b + 1] && !p->err; k++) {
		if (p->pairs[k] & ~pairs)
			continue;
		p->chain = &VEC_AT(&p->out->chains, struct chain, k);
		if (chain_is_bare(p->chain))
			continue;
		p->current = (struct match){ .symbol = symbol,
					     .chain = k,
					     .literal = p->chain->literal };
		try_match(p, name, n, 0);
	}
}

static void match_last(struct matching *p, uint32_t symbol, const char *name, size_t len)
{
	size_t n = len;

	while (n && name[n - 1] >= '0' && name[n - 1] <= '9')
		n--;
	if (n < len && n >= BARE_MIN)
		p->bare = (struct match){ .symbol = symbol,
					  .chain = p->out->start[2 * HALF],
					  .n_args = 2,
					  .arg = { blob_hash(name, n),
						   blob_hash(name + n, len - n) } };
	match_bucket(p, symbol, name, 2 * HALF);
	note_bare(p, p->out->start[2 * HALF + 1]);
	p->bare.n_args = 0;
}

static void match_name(struct matching *p, uint32_t symbol, const char *name)
{
	size_t n = strlen(name);

	p->name_pairs = pairs_of(name, n);
	for (size_t k = 1; k <= KEY && k <= n; k++)
		match_bucket(p, symbol, name, chain_key(name, k));
	for (size_t k = 1; k <= KEY && k <= n; k++)
		match_bucket(p, symbol, name, HALF + chain_key(name + n - k, k));
	match_last(p, symbol, name, n);
}

static void match_all(struct matching *p)
{
	struct resolver *r = p->r;
	uint32_t n = VEC_N(&p->out->chains, struct chain);

	if (n)
		qsort(p->out->chains.data, n, sizeof(struct chain), by_bucket);
	for (uint32_t k = 0; k < n; k++)
		p->out->start[VEC_AT(&p->out->chains, struct chain, k).bucket + 1]++;
	for (uint32_t b = 0; b < BUCKETS; b++)
		p->out->start[b + 1] += p->out->start[b];
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

int matches_find(struct resolver *r, struct matches *out)
{
	struct matching p = { .r = r, .out = out };

	for (uint32_t i = 0; !p.err && i < VEC_N(&r->pasters, uint32_t); i++)
		p.err = chains_read(r, VEC_AT(&r->pasters, uint32_t, i), &out->chains);
	if (!p.err)
		match_all(&p);
	free(p.pairs);
	return p.err;
}

void matches_fini(struct matches *m)
{
	free(m->chains.data);
	free(m->v.data);
}
