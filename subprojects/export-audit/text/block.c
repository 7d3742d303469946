// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Puts the facts about one file into one block. */
#include "text/facts.h"

#include <errno.h>

static bool refset_has(const struct refset *s, uint64_t h)
{
	for (uint32_t i = (uint32_t)h & s->mask; s->epochs[i] == s->epoch; i = (i + 1) & s->mask)
		if (s->slots[i] == h)
			return true;
	return false;
}

static int by_ref(const void *a, const void *b)
{
	const struct blob_guarded *x = a, *y = b;

	if (x->ref != y->ref)
		return x->ref < y->ref ? -1 : 1;
	return x->guard < y->guard ? -1 : x->guard > y->guard;
}

/*
 * A name that also stands without a condition does not depend on one. The others become references.
 */
static void close_guarded(struct facts *f)
{
	struct blob_guarded *g = (void *)f->guarded.data;
	size_t n = f->guarded.n / sizeof(*g), kept = 0;

	for (size_t i = 0; i < n; i++)
		if (!refset_has(&f->refs[OWNER_TU], g[i].ref))
			g[kept++] = g[i];
	f->guarded.n = kept * sizeof(*g);
	f->guard = 0;
	if (kept)
		qsort(g, kept, sizeof(*g), by_ref);
	for (size_t i = 0; i < kept; i++)
		refset_add(f, &f->refs[OWNER_TU], g[i].ref);
}

static uint32_t put(char *block, size_t *at, const struct vec *v)
{
	uint32_t offset = (uint32_t)*at;

	if (v->n)
		memcpy(block + *at, v->data, v->n);
	*at += (v->n + 7) & ~(size_t)7;
	return offset;
}

static void shift_strings(struct facts *f, uint32_t base)
{
	struct blob_export *x = (void *)f->exports.data;
	struct blob_def *d = (void *)f->defs.data;
	struct blob_entity *e = (void *)f->entities.data;
	struct blob_invocation *v = (void *)f->invocations.data;
	struct blob_include *c = (void *)f->includes.data;
	struct blob_guard *g = (void *)f->guards.data;

#define SHIFT(member) ((member) += (member) ? base : 0)
	for (size_t i = 0; i < f->exports.n / sizeof(*x); i++) {
		SHIFT(x[i].name_str);
		SHIFT(x[i].ns_str);
		SHIFT(x[i].macro_str);
	}
	for (size_t i = 0; i < f->defs.n / sizeof(*d); i++)
		SHIFT(d[i].name_str);
	for (size_t i = 0; i < f->entities.n / sizeof(*e); i++) {
		SHIFT(e[i].name_str);
		SHIFT(e[i].params_str);
		SHIFT(e[i].body_str);
	}
	for (size_t i = 0; i < f->invocations.n / sizeof(*v); i++) {
		SHIFT(v[i].macro_str);
		SHIFT(v[i].args_str);
	}
	for (size_t i = 0; i < f->includes.n / sizeof(*c); i++)
		SHIFT(c[i].path_str);
	for (size_t i = 0; i < f->guards.n / sizeof(*g); i++)
		SHIFT(g[i].text_str);
	SHIFT(f->namespace_str);
	SHIFT(f->text_str);
#undef SHIFT
}

int facts_block(struct facts *f, enum blob_kind kind, uint32_t lines, struct blob **out)
{
	const struct vec *tu = &f->refs[OWNER_TU].list;
	const struct vec *all[] = { tu,         &f->entity_refs, &f->strings.list, &f->exports,
				    &f->defs,   &f->entities,    &f->invocations,  &f->includes,
				    &f->guards, &f->guarded,     &f->options.list, &f->pool };
	size_t size = sizeof(struct blob), at = sizeof(struct blob);
	struct blob *b;

	close_guarded(f);
	if (f->oom)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		size += (all[i]->n + 7) & ~(size_t)7;
	b = calloc(1, size);
	if (!b)
		return -ENOMEM;
	shift_strings(f, (uint32_t)(size - ((f->pool.n + 7) & ~(size_t)7)));
	b->magic = BLOB_MAGIC;
	b->version = BLOB_VERSION;
	b->size = (uint32_t)size;
	b->kind = kind;
	b->flags = f->flags;
	b->n_lines = lines;
	b->n_tu_refs = (uint32_t)(tu->n / sizeof(uint64_t));
	b->n_refs = b->n_tu_refs + (uint32_t)(f->entity_refs.n / sizeof(uint64_t));
	b->n_strings = (uint32_t)(f->strings.list.n / sizeof(uint64_t));
	b->n_exports = (uint32_t)(f->exports.n / sizeof(struct blob_export));
	b->n_defs = (uint32_t)(f->defs.n / sizeof(struct blob_def));
	b->n_entities = (uint32_t)(f->entities.n / sizeof(struct blob_entity));
	b->n_invocations = (uint32_t)(f->invocations.n / sizeof(struct blob_invocation));
	b->n_includes = (uint32_t)(f->includes.n / sizeof(struct blob_include));
	b->n_guards = (uint32_t)(f->guards.n / sizeof(struct blob_guard));
	b->n_guarded = (uint32_t)(f->guarded.n / sizeof(struct blob_guarded));
	b->n_options = (uint32_t)(f->options.list.n / sizeof(uint64_t));
	b->namespace_str = f->namespace_str;
	b->text_str = f->text_str;
	b->refs = put((char *)b, &at, tu);
	put((char *)b, &at, &f->entity_refs);
	b->strings = put((char *)b, &at, &f->strings.list);
	b->exports = put((char *)b, &at, &f->exports);
	b->defs = put((char *)b, &at, &f->defs);
	for (size_t i = 0; i < b->n_entities; i++)
		((struct blob_entity *)(void *)f->entities.data)[i].first_ref += b->n_tu_refs;
	b->entities = put((char *)b, &at, &f->entities);
	b->invocations = put((char *)b, &at, &f->invocations);
	b->includes = put((char *)b, &at, &f->includes);
	b->guards = put((char *)b, &at, &f->guards);
	b->guarded = put((char *)b, &at, &f->guarded);
	b->options = put((char *)b, &at, &f->options.list);
	put((char *)b, &at, &f->pool);
	*out = b;
	return 0;
}
