// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Consumers: files that name a symbol. */
#include "graph/direct.h"
#include "graph/entities.h"
#include "graph/outside.h"

#include <stdio.h>

static bool names(const struct blob *b, uint64_t ref)
{
	const uint64_t *refs = blob_refs(b);

	for (uint32_t i = 0; i < b->n_tu_refs; i++)
		if (refs[i] == ref)
			return true;
	return false;
}

static bool defines(const struct blob *b, const char *name)
{
	const struct blob_def *d = BLOB_ARRAY(b, blob_def, defs);
	uint64_t hash = blob_hash(name, strlen(name));

	for (uint32_t i = 0; i < b->n_defs; i++)
		if (d[i].hash == hash)
			return true;
	return false;
}

static int consume_as(struct resolver *r, uint32_t file, const char *prefix, const char *written,
		      const char *meant)
{
	char name[512];
	uint32_t at;

	snprintf(name, sizeof(name), "%s%s", prefix, written);
	if (!names(r->files[file].blob, blob_hash(name, strlen(name))) ||
	    defines(r->files[file].blob, name))
		return 0;
	at = hmap_get(&r->by_name, blob_hash(meant, strlen(meant)));
	if (at == HMAP_NONE || !consumes(r, &r->symbols[at], file))
		return 0;
	return vec_push(&r->symbols[at].direct, &file, sizeof(file));
}

/* With ld --wrap the source names one symbol and is linked with another. */
static int consume_wrapped(struct resolver *r)
{
	uint32_t n;
	const struct wrap *w = built_wraps(r->built, &n);
	char wrapper[512];
	int err = 0;

	for (uint32_t i = 0; !err && i < n; i++) {
		snprintf(wrapper, sizeof(wrapper), "__wrap_%s", w[i].name);
		err = consume_as(r, w[i].file, "", w[i].name, wrapper);
		err = err ? err : consume_as(r, w[i].file, "__real_", w[i].name, w[i].name);
	}
	return err;
}

int consume_direct(struct resolver *r)
{
	int err = 0;

	for (uint32_t f = 0; f < r->n_files; f++) {
		const struct blob *b = r->files[f].blob;
		const uint64_t *refs = blob_refs(b);

		if (!r->is_tu[f])
			continue;
		for (uint32_t i = 0; !err && i < b->n_tu_refs; i++) {
			uint32_t at = hmap_get(&r->by_name, refs[i]);

			if (at == HMAP_NONE)
				continue;
			if (dead_ref(r, f, refs[i]))
				pass_over(&r->symbols[at], f, PASS_OPTION);
			else if (consumes(r, &r->symbols[at], f))
				err = vec_push(&r->symbols[at].direct, &f, sizeof(f));
		}
	}
	return err ? err : consume_wrapped(r);
}
