// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Macros that export. They are ways to export something and no new functionality. */
#include "base/grow.h"
#include "gate/gate.h"

#include <stdlib.h>

#define ROUNDS 4 /* of macros that use macros */

struct macros {
	uint64_t *v; /* sorted */
	size_t n, cap;
};

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool has(const struct macros *m, uint64_t hash)
{
	return m->n && bsearch(&hash, m->v, m->n, sizeof(hash), compare);
}

static bool exports(const struct macros *m, const struct blob *b, const struct blob_entity *e)
{
	if (e->kind != ENTITY_MACRO)
		return false;
	if (e->flags & MACRO_EXPORTS)
		return true;
	for (uint32_t i = 0; i < e->n_refs; i++)
		if (has(m, blob_refs(b)[e->first_ref + i]))
			return true;
	return false;
}

/* One more round over all files; *OUT gets the macros that export, or use a macro of M. */
static int round_of(const struct gate *g, const struct macros *m, struct macros *out)
{
	*out = (struct macros){ 0 };
	for (uint32_t f = 0; f < g->head.n; f++) {
		const struct blob *b = g->head.facts[f].blob;
		const struct blob_entity *e = BLOB_ARRAY(b, blob_entity, entities);

		for (uint32_t i = 0; i < b->n_entities; i++) {
			if (!exports(m, b, &e[i]))
				continue;
			if (grow_room(out->v, out->n, out->cap))
				return -ENOMEM;
			out->v[out->n++] = e[i].hash;
		}
	}
	if (out->n)
		qsort(out->v, out->n, sizeof(*out->v), compare);
	return 0;
}

int gate_exporting_macros(const struct gate *g, uint64_t **hashes, size_t *n)
{
	struct macros m = { 0 }, next;
	size_t before;
	int err, rounds = 0;

	do {
		before = m.n;
		err = round_of(g, &m, &next);
		free(m.v);
		m = next;
	} while (!err && m.n != before && ++rounds < ROUNDS);
	if (err) {
		free(m.v);
		return err;
	}
	*hashes = m.v;
	*n = m.n;
	return 0;
}
