// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Which files, macros and inline functions use a name: one inverted index of chosen names. */

#include <errno.h>

#include "resolve.h"

struct fill {
	struct index *index;
	uint32_t *at; /* NULL while counting */
	uint32_t *counts;
};

static void take(struct fill *f, const uint64_t *refs, uint32_t n, uint32_t file, uint32_t owner)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t slot = hmap_get(&f->index->keys, refs[i]);

		if (slot == HMAP_NONE)
			continue;
		if (f->at)
			f->index->uses[f->at[slot]++] = (struct use){ file, owner };
		else
			f->counts[slot]++;
	}
}

static void pass(struct resolver *r, struct fill *f)
{
	for (uint32_t file = 0; file < r->n_files; file++) {
		const struct blob *b = r->files[file].blob;
		const struct blob_entity *e = BLOB_ARRAY(b, blob_entity, entities);

		if (!r->is_tu[file] && b->kind != BLOB_HEADER)
			continue;
		take(f, blob_refs(b), b->n_tu_refs, file, NO_OWNER);
		for (uint32_t i = 0; i < b->n_entities; i++)
			take(f, blob_refs(b) + e[i].first_ref, e[i].n_refs, file,
			     r->entity_base[file] + i);
	}
}

int index_uses(struct resolver *r, struct index *index)
{
	uint32_t n = 0, slots = index->keys.n;
	int err = -ENOMEM;
	struct fill f = { .index = index };

	for (uint32_t i = 0; i <= index->keys.mask; i++)
		if (index->keys.keys[i])
			index->keys.values[i] = n++;
	f.counts = calloc(slots + 1, sizeof(*f.counts));
	index->first = calloc(slots + 1, sizeof(*index->first));
	if (!f.counts || !index->first) {
		free(f.counts);
		return -ENOMEM;
	}
	pass(r, &f);
	for (uint32_t i = 0; i < slots; i++)
		index->first[i + 1] = index->first[i] + f.counts[i];
	index->uses = malloc((index->first[slots] + 1ull) * sizeof(*index->uses));
	f.at = malloc((slots + 1) * sizeof(*f.at));
	if (index->uses && f.at) {
		memcpy(f.at, index->first, slots * sizeof(*f.at));
		pass(r, &f);
		err = 0;
	}
	free(f.counts);
	free(f.at);
	return err;
}

void index_free(struct index *index)
{
	hmap_fini(&index->keys);
	free(index->first);
	free(index->uses);
}
