// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Which files, macros and inline functions use a name: one inverted index of chosen names. */
#include "graph/index.h"
#include "graph/entities.h"

#include <errno.h>

struct hit {
	uint32_t slot;
	struct use use;
};

struct fill {
	const struct hmap *keys;
	uint32_t *counts;
	struct hit *hits;
	size_t n, cap;
	bool oom;
};

static void add_hit(struct fill *f, uint32_t slot, uint32_t file, uint32_t owner)
{
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 1u << 16;
		struct hit *hits = realloc(f->hits, cap * sizeof(*hits));

		if (!hits) {
			f->oom = true;
			return;
		}
		f->hits = hits;
		f->cap = cap;
	}
	f->counts[slot]++;
	f->hits[f->n++] = (struct hit){ slot, { file, owner } };
}

static void take(struct resolver *r, struct fill *f, const uint64_t *refs, uint32_t n,
		 uint32_t file, uint32_t owner)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t slot = hmap_get(f->keys, refs[i]);

		if (slot != HMAP_NONE && (owner != NO_OWNER || !dead_ref(r, file, refs[i])))
			add_hit(f, slot, file, owner);
	}
}

static void look(struct resolver *r, struct fill *f)
{
	for (uint32_t file = 0; file < r->n_files; file++) {
		const struct blob *b = r->files[file].blob;
		const struct blob_entity *e = BLOB_ARRAY(b, blob_entity, entities);

		if (!r->is_tu[file] && b->kind != BLOB_HEADER)
			continue;
		take(r, f, blob_refs(b), b->n_tu_refs, file, NO_OWNER);
		for (uint32_t i = 0; i < b->n_entities; i++)
			if (!dead_entity(r, file, &e[i]))
				take(r, f, blob_refs(b) + e[i].first_ref, e[i].n_refs, file,
				     r->entity_base[file] + i);
	}
}

/* Hits come in the order of files and stay in it within a slot. */
static int sort(struct index *index, struct fill *f, uint32_t slots)
{
	index->uses = malloc((f->n + 1) * sizeof(*index->uses));
	if (!index->uses || f->n > UINT32_MAX)
		return -ENOMEM;
	for (uint32_t i = 0; i < slots; i++) {
		index->first[i + 1] = index->first[i] + f->counts[i];
		f->counts[i] = index->first[i];
	}
	for (size_t i = 0; i < f->n; i++)
		index->uses[f->counts[f->hits[i].slot]++] = f->hits[i].use;
	return 0;
}

int index_uses(struct resolver *r, struct index *index)
{
	uint32_t n = 0, slots = index->keys.n;
	struct fill f = { .keys = &index->keys };
	int err = -ENOMEM;

	for (uint32_t i = 0; i <= index->keys.mask; i++)
		if (index->keys.keys[i])
			index->keys.values[i] = n++;
	f.counts = calloc(slots + 1, sizeof(*f.counts));
	index->first = calloc(slots + 1, sizeof(*index->first));
	if (f.counts && index->first) {
		look(r, &f);
		err = f.oom ? -ENOMEM : sort(index, &f, slots);
	}
	free(f.counts);
	free(f.hits);
	return err;
}

void index_free(struct index *index)
{
	hmap_fini(&index->keys);
	free(index->first);
	free(index->uses);
}

int refs_seen_init(const struct resolver *r, struct refs_seen *out)
{
	uint64_t n = 0;
	uint32_t words = 1024;

	for (uint32_t f = 0; f < r->n_files; f++)
		n += r->files[f].blob->n_refs;
	while (words < n / 16 && words < 1u << 30)
		words *= 2;
	out->words = calloc(words, sizeof(*out->words));
	out->mask = words - 1;
	if (!out->words)
		return -ENOMEM;
	for (uint32_t f = 0; f < r->n_files; f++) {
		const struct blob *b = r->files[f].blob;
		const uint64_t *refs = blob_refs(b);

		for (uint32_t i = 0; i < b->n_refs; i++)
			out->words[refs[i] & out->mask] |= refs_seen_bits(refs[i]);
	}
	return 0;
}
