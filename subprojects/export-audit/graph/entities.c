// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Macros and inline functions. */
#include "graph/entities.h"
#include "base/vec.h"

#include <errno.h>

bool dead_ref(const struct resolver *r, uint32_t file, uint64_t ref)
{
	const struct blob *b = r->files[file].blob;
	const struct blob_guarded *g = BLOB_ARRAY(b, blob_guarded, guarded);
	uint32_t lo = 0, hi = b->n_guarded;

	if (!r->dead[file])
		return false;
	while (lo < hi) { /* the first of this reference */
		uint32_t mid = lo + (hi - lo) / 2;

		if (g[mid].ref < ref)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == b->n_guarded || g[lo].ref != ref)
		return false;
	for (; lo < b->n_guarded && g[lo].ref == ref; lo++)
		if (!r->dead[file][g[lo].guard])
			return false;
	return true;
}

bool dead_entity(const struct resolver *r, uint32_t file, const struct blob_entity *e)
{
	return r->dead[file] && r->dead[file][e->guard];
}

int entities_find_dead(struct resolver *r)
{
	uint8_t *dead = malloc(UINT16_MAX + 2);
	int err = 0;

	r->dead = calloc(r->n_files + 1, sizeof(*r->dead));
	if (!dead || !r->dead)
		err = -ENOMEM;
	for (uint32_t f = 0; !err && f < r->n_files; f++) {
		const struct blob *b = r->files[f].blob;

		if (!b->n_guards || path_is_added(r->files[f].path))
			continue;
		kconfig_guards(r->kconfig, b, dead);
		if (!memchr(dead, 1, b->n_guards + 1))
			continue;
		r->dead[f] = malloc(b->n_guards + 1);
		if (r->dead[f])
			memcpy(r->dead[f], dead, b->n_guards + 1);
		else
			err = -ENOMEM;
	}
	free(dead);
	return err;
}

static void add_referrer(struct resolver *r, const struct blob *b, const struct blob_entity *m,
			 uint32_t e, uint32_t room)
{
	uint32_t at = r->n_referrer_refs;

	if (!m->n_refs || m->n_refs > room - at)
		return;
	r->referrers[r->n_referrers++] = (struct referrer){ .hash = m->hash,
							    .entity = e,
							    .first = at,
							    .n = m->n_refs,
							    .flags = m->flags,
							    .macro = m->kind == ENTITY_MACRO };
	memcpy(r->referrer_refs + at, blob_refs(b) + m->first_ref, m->n_refs * 8ull);
	r->n_referrer_refs += m->n_refs;
}

static int number_file(struct resolver *r, uint32_t f, uint32_t room)
{
	const struct blob *b = r->files[f].blob;
	const struct blob_entity *m = BLOB_ARRAY(b, blob_entity, entities);

	for (uint32_t i = 0; i < b->n_entities; i++) {
		uint32_t e = r->entity_base[f] + i, *slot = hmap_slot(&r->entities, m[i].hash);

		if (!slot)
			return -ENOMEM;
		r->entity_file[e] = f;
		r->entity_next[e] = *slot;
		*slot = e;
		if (!dead_entity(r, f, &m[i]))
			add_referrer(r, b, &m[i], e, room);
		if (m[i].flags & MACRO_PASTES && m[i].body_str &&
		    vec_push(&r->pasters, &e, sizeof(e)))
			return -ENOMEM;
		if (m[i].flags & MACRO_EXPORTS && m[i].body_str &&
		    vec_push(&r->exporters, &e, sizeof(e)))
			return -ENOMEM;
	}
	return 0;
}

int entities_number(struct resolver *r)
{
	uint64_t n = 0, refs = 0;
	int err = 0;

	r->entity_base = calloc(r->n_files + 1, sizeof(*r->entity_base));
	if (!r->entity_base)
		return -ENOMEM;
	for (uint32_t f = 0; f < r->n_files; f++) {
		const struct blob *b = r->files[f].blob;

		r->entity_base[f] = (uint32_t)n;
		n += b->n_entities;
		refs += b->n_refs; /* its own among them: room enough */
		refs -= b->n_tu_refs;
	}
	if (n >= UINT32_MAX || refs >= UINT32_MAX)
		return -ENOMEM;
	r->entity_base[r->n_files] = r->n_entities = (uint32_t)n;
	r->entity_file = malloc((n + 1) * sizeof(*r->entity_file));
	r->entity_next = malloc((n + 1) * sizeof(*r->entity_next));
	r->referrers = malloc((n + 1) * sizeof(*r->referrers));
	r->referrer_refs = malloc((refs + 1) * sizeof(*r->referrer_refs));
	if (!r->entity_file || !r->entity_next || !r->referrers || !r->referrer_refs ||
	    hmap_init(&r->entities, (uint32_t)n / 2))
		return -ENOMEM;
	for (uint32_t f = 0; !err && f < r->n_files; f++)
		err = number_file(r, f, (uint32_t)refs);
	return err;
}

bool entity_visible(const struct resolver *r, uint32_t file, uint32_t e)
{
	uint32_t home = r->entity_file[e], other;

	if (home == file || includes_sees(r->includes, file, home))
		return true;
	/* a .c sees what those see that include it */
	for (uint32_t i = r->includes->rfirst[file]; i < r->includes->rfirst[file + 1]; i++) {
		uint32_t by = r->includes->rsources[i];

		if (r->files[by].blob->kind == BLOB_C && r->files[file].blob->kind == BLOB_C &&
		    (by == home || includes_sees(r->includes, by, home)))
			return true;
	}
	other = hmap_get(&r->entities, entity(r, e)->hash);
	for (; other != HMAP_NONE; other = r->entity_next[other])
		if (r->entity_file[other] != home)
			return false;
	return true;
}
