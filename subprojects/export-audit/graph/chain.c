// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Reads the chains in the bodies of macros. */
#include "graph/chain.h"
#include "base/vec.h"
#include "text/args.h"
#include "text/lex.h"

#include <errno.h>

#define LITERAL_MIN 2 /* characters of the name that the macro must supply */

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

/* N is 1 to KEY. Keys of different lengths have different buckets, so none is visited twice. */
uint32_t chain_key(const char *s, size_t n)
{
	return (uint32_t)((n - 1) * (HALF / KEY) + (blob_hash(s, n) >> 32) % (HALF / KEY));
}

/* By its first characters if they are literal, else by its last, else the bucket for all others. */
static uint32_t bucket(const struct chain *c)
{
	const struct piece *first = &c->pieces[0], *last = &c->pieces[c->n - 1];

	if (first->kind == PIECE_LITERAL)
		return chain_key(first->s, first->len < KEY ? first->len : KEY);
	if (last->kind != PIECE_LITERAL)
		return 2 * HALF;
	if (last->len < KEY)
		return HALF + chain_key(last->s, last->len);
	return HALF + chain_key(last->s + last->len - KEY, KEY);
}

/* Chains are appended here. */
struct reading {
	struct vec *chains;
	int err;
};

static void keep(struct reading *r, struct chain *c)
{
	bool any = false;

	for (uint32_t i = 0; i < c->n && i < PIECES; i++)
		any |= c->pieces[i].kind != PIECE_LITERAL;
	bool bare = c->n == 2 && !c->literal; /* a ## b: fits with a number at the end only */

	if (c->n >= 2 && c->n <= PIECES && any && (bare || c->literal >= LITERAL_MIN)) {
		c->bucket = bucket(c);
		r->err = r->err ? r->err : vec_push(r->chains, c, sizeof(*c));
	}
	c->n = c->literal = 0;
}

/* Text for the assembler: words of it, %-operands in them; other characters end a chain. */
static void asm_string(struct reading *r, struct chain *c, const struct token *t)
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
			keep(r, c);
			s++;
		}
	}
}

/* Pieces are joined by ##, or are strings and #parameters side by side. */
int chains_read(struct resolver *r, uint32_t e, struct vec *chains)
{
	const struct blob *b = r->files[r->entity_file[e]].blob;
	const struct blob_entity *m = entity(r, e);
	const char *body = blob_str(b, m->body_str), *params = blob_str(b, m->params_str);
	struct lex l = { .p = body, .end = body + strlen(body), .in_body = true };
	struct chain c = { .macro = m->hash, .entity = e };
	struct token t, last = { 0 };
	struct reading out = { .chains = chains };
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
			asm_string(&out, &c, &t);
		} else if (t.type != '#') {
			keep(&out, &c);
			joining = false;
		}
		last = t;
	}
	keep(&out, &c);
	return out.err;
}

bool chain_is_bare(const struct chain *c)
{
	return !c->literal && c->pieces[0].kind == PIECE_PARAM;
}
