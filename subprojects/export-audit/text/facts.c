// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The facts about one file, while they are collected. */
#include "text/facts.h"
#include "base/hash.h"
#include "text/export.h"

#include <errno.h>

#define EPOCH_SLOTS 1024u

static int refset_init(struct refset *s)
{
	s->slots = calloc(EPOCH_SLOTS, sizeof(*s->slots));
	s->epochs = calloc(EPOCH_SLOTS, sizeof(*s->epochs));
	s->mask = EPOCH_SLOTS - 1;
	s->epoch = 1;
	return s->slots && s->epochs ? 0 : -ENOMEM;
}

static void refset_fini(struct refset *s)
{
	free(s->slots);
	free(s->epochs);
	free(s->list.data);
}

void refset_clear(struct refset *s)
{
	s->n = 0;
	s->list.n = 0;
	if (!++s->epoch) {
		memset(s->epochs, 0, (s->mask + 1) * sizeof(*s->epochs));
		s->epoch = 1;
	}
}

static bool refset_grow(struct refset *s)
{
	uint32_t mask = s->mask * 2 + 1, epoch = 1;
	uint64_t *slots = calloc(mask + 1, sizeof(*slots));
	uint32_t *epochs = calloc(mask + 1, sizeof(*epochs));

	if (!slots || !epochs) {
		free(slots);
		free(epochs);
		return false;
	}
	for (uint32_t i = 0; i <= s->mask; i++) {
		uint32_t j = (uint32_t)s->slots[i] & mask;

		if (s->epochs[i] != s->epoch)
			continue;
		while (epochs[j] == epoch)
			j = (j + 1) & mask;
		epochs[j] = epoch;
		slots[j] = s->slots[i];
	}
	free(s->slots);
	free(s->epochs);
	s->slots = slots;
	s->epochs = epochs;
	s->epoch = epoch;
	s->mask = mask;
	return true;
}

void refset_add_slow(struct facts *f, struct refset *s, uint64_t h)
{
	uint64_t *ref;
	uint32_t i;

	if (s->n >= s->mask / 2 && !refset_grow(s)) {
		f->oom = true;
		return;
	}
	ref = facts_add(f, &s->list, sizeof(*ref));
	if (!ref)
		return;
	*ref = h;
	for (i = (uint32_t)h & s->mask; s->epochs[i] == s->epoch;)
		i = (i + 1) & s->mask;
	s->epochs[i] = s->epoch;
	s->slots[i] = h;
	s->n++;
}

void refset_add_guarded(struct facts *f, uint64_t h)
{
	uint32_t n = f->guarded_pairs.n;
	struct blob_guarded *g;

	refset_add(f, &f->guarded_pairs, hash_mix(h, f->guard * 0x9e3779b97f4a7c15u | 1));
	if (f->guarded_pairs.n == n)
		return;
	g = facts_add(f, &f->guarded, sizeof(*g));
	if (g)
		*g = (struct blob_guarded){ .ref = h, .guard = f->guard };
}

uint32_t facts_guard(struct facts *f, const char *text, size_t len, uint32_t outer, bool negated)
{
	struct blob_guard *g;
	uint32_t n = (uint32_t)(f->guards.n / sizeof(*g)) + 1, str;

	if (n > UINT16_MAX)
		return 0;
	str = facts_folded(f, text, len);
	g = facts_add(f, &f->guards, sizeof(*g));
	if (!g)
		return 0;
	*g = (struct blob_guard){ .text_str = str, .outer = outer, .negated = negated };
	return n;
}

int facts_init(struct facts *f)
{
	int err = 0;

	memset(f, 0, sizeof(*f));
	for (int i = 0; i < LOOKUPS; i++)
		f->lookups[i] = hash_bytes(lookup_functions[i], strlen(lookup_functions[i]));
	for (int i = 0; i < OWNERS; i++)
		err = err ? err : refset_init(&f->refs[i]);
	err = err ? err : refset_init(&f->options);
	err = err ? err : refset_init(&f->guarded_pairs);
	return err ? err : refset_init(&f->strings);
}

void facts_fini(struct facts *f)
{
	for (int i = 0; i < OWNERS; i++)
		refset_fini(&f->refs[i]);
	refset_fini(&f->strings);
	refset_fini(&f->options);
	refset_fini(&f->guarded_pairs);
	free(f->guards.data);
	free(f->guarded.data);
	free(f->entity_refs.data);
	free(f->exports.data);
	free(f->defs.data);
	free(f->entities.data);
	free(f->invocations.data);
	free(f->includes.data);
	free(f->pool.data);
}

void facts_reset(struct facts *f)
{
	for (int i = 0; i < OWNERS; i++)
		refset_clear(&f->refs[i]);
	refset_clear(&f->strings);
	refset_clear(&f->options);
	refset_clear(&f->guarded_pairs);
	f->guards.n = f->guarded.n = 0;
	f->guard = 0;
	f->entity_refs.n = f->exports.n = f->defs.n = f->entities.n = 0;
	f->invocations.n = f->includes.n = f->pool.n = 0;
	f->flags = f->namespace_str = f->text_str = f->line = 0;
	f->oom = false;
	facts_add(f, &f->pool, 1); /* offset 0: the empty string */
}

void *facts_add(struct facts *f, struct vec *v, size_t size)
{
	void *p;

	if (v->n + size > FACTS_LIMIT) {
		f->flags |= BLOB_TRUNCATED;
		return NULL;
	}
	if (v->n + size > v->cap) {
		size_t cap = v->cap ? v->cap * 2 : 4096;

		while (cap < v->n + size)
			cap *= 2;
		p = realloc(v->data, cap);
		if (!p) {
			f->oom = true;
			return NULL;
		}
		v->data = p;
		v->cap = cap;
	}
	p = memset(v->data + v->n, 0, size);
	v->n += size;
	return p;
}

uint32_t facts_str(struct facts *f, const char *s, size_t len)
{
	uint32_t at = (uint32_t)f->pool.n;
	char *p;

	if (!len)
		return 0;
	p = facts_add(f, &f->pool, len + 1);
	if (!p)
		return 0;
	for (size_t i = 0; i < len; i++) /* a NUL inside would end the string early */
		p[i] = s[i] ? s[i] : ' ';
	return at;
}

/* Skips the blank, comment or continuation at s; 0 if there is none. */
static size_t blank_length(const char *s, size_t len)
{
	const char *close;

	if (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\r' || *s == '\f' || *s == '\v')
		return 1;
	if (*s == '\\' && len > 1 && (s[1] == '\n' || s[1] == '\r'))
		return 2;
	if (*s != '/' || len < 2)
		return 0;
	if (s[1] == '/') {
		close = memchr(s, '\n', len);
		return close ? (size_t)(close - s) : len;
	}
	if (s[1] != '*')
		return 0;
	close = len > 3 ? memmem(s + 2, len - 2, "*/", 2) : NULL;
	return close ? (size_t)(close - s) + 2 : len;
}

uint32_t facts_folded(struct facts *f, const char *s, size_t len)
{
	uint32_t at = (uint32_t)f->pool.n;
	char *start = len ? facts_add(f, &f->pool, len + 1) : NULL, *p = start;
	char quote = 0;

	if (!start)
		return 0;
	for (size_t i = 0, n; i < len; i += n) {
		n = quote ? 0 : blank_length(s + i, len - i);
		if (n) {
			if (p > start && p[-1] != ' ')
				*p++ = ' ';
			continue;
		}
		n = 1;
		if (quote && s[i] == '\\' && i + 1 < len) {
			*p++ = '\\';
			i++;
		} else if (quote ? s[i] == quote : s[i] == '"' || s[i] == '\'') {
			quote = quote ? 0 : s[i];
		}
		*p++ = s[i] ? s[i] : ' ';
	}
	while (p > start && p[-1] == ' ')
		p--;
	*p++ = 0;
	f->pool.n = (size_t)(p - f->pool.data);
	return at;
}

void facts_close_entity(struct facts *f, struct refset *s, struct blob_entity *e)
{
	char *to;

	e->first_ref = (uint32_t)(f->entity_refs.n / sizeof(uint64_t));
	to = s->list.n ? facts_add(f, &f->entity_refs, s->list.n) : NULL;
	if (to) {
		memcpy(to, s->list.data, s->list.n);
		e->n_refs = (uint32_t)(s->list.n / sizeof(uint64_t));
	}
	refset_clear(s);
}
