// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Names that a file makes by handing one macro to another. */
#include "graph/counted.h"
#include "base/vec.h"
#include "graph/entities.h"
#include "graph/expand.h"
#include "text/lex.h"

#include <errno.h>

/* The names that a file makes by handing on one macro. */
struct handed {
	uint32_t file, macro;
	bool known; /* it was handed to something, and that was expanded to the end */
	struct hmap names;
};

struct counted {
	struct resolver *r;
	struct vec handed; /* struct handed */
	struct hmap refs;  /* of the file that is looked at */
};

int counted_new(struct resolver *r, struct counted **out)
{
	struct counted *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->r = r;
	*out = c;
	return 0;
}

void counted_free(struct counted *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; i < VEC_N(&c->handed, struct handed); i++)
		hmap_fini(&VEC_AT(&c->handed, struct handed, i).names);
	hmap_fini(&c->refs);
	free(c->handed.data);
	free(c);
}

static int read_refs(struct counted *c, uint32_t file)
{
	const struct blob *b = c->r->files[file].blob;
	int err;

	hmap_fini(&c->refs);
	c->refs = (struct hmap){ 0 };
	err = hmap_init(&c->refs, b->n_tu_refs);
	for (uint32_t i = 0; !err && i < b->n_tu_refs; i++) {
		uint32_t *slot = hmap_slot(&c->refs, blob_refs(b)[i]);

		if (slot)
			*slot = 0;
		err = slot ? 0 : -ENOMEM;
	}
	return err;
}

static int add_names(struct hmap *names, const char *text)
{
	struct lex l = { .p = text, .end = text + strlen(text), .in_body = true };
	struct token t;

	while (lex_next(&l, &t)) {
		uint32_t *slot = t.type == T_IDENT ? hmap_slot(names, t.hash) : NULL;

		if (t.type == T_IDENT && !slot)
			return -ENOMEM;
		if (slot)
			*slot = 0;
	}
	return 0;
}

/* Expands all macro calls of the file that have this macro as a sole argument. */
static int expand_all(struct counted *c, struct handed *h)
{
	struct resolver *r = c->r;
	const char *name = entity_name(r, h->macro);
	uint64_t hash = entity(r, h->macro)->hash;
	struct vec text = { 0 };
	int err = read_refs(c, h->file);

	for (uint32_t i = 0; !err && i < r->n_referrers; i++) {
		const struct referrer *m = &r->referrers[i];

		if (!m->macro || !(m->flags & MACRO_FUNCTION) ||
		    hmap_get(&c->refs, blob_hash_pair(m->hash, hash)) == HMAP_NONE ||
		    !entity_visible(r, h->file, m->entity))
			continue;
		err = expand_invocation(r, h->file, entity_name(r, m->entity), name, &text);
		h->known = !err && !r->cut;
		err = err ? err : add_names(&h->names, text.data);
	}
	free(text.data);
	return err;
}

int counted_names(struct counted *c, uint32_t file, uint32_t macro, uint64_t name)
{
	struct handed fresh = { .file = file, .macro = macro };
	const struct handed *h = NULL;
	uint32_t n = VEC_N(&c->handed, struct handed);
	int err;

	for (uint32_t i = 0; !h && i < n; i++)
		if (VEC_AT(&c->handed, struct handed, i).file == file &&
		    VEC_AT(&c->handed, struct handed, i).macro == macro)
			h = &VEC_AT(&c->handed, struct handed, i);
	if (!h) {
		err = hmap_init(&fresh.names, 1024);
		err = err ? err : expand_all(c, &fresh);
		err = err ? err : vec_push(&c->handed, &fresh, sizeof(fresh));
		if (err) {
			hmap_fini(&fresh.names);
			return err;
		}
		h = &VEC_AT(&c->handed, struct handed, n);
	}
	if (hmap_get(&h->names, name) != HMAP_NONE)
		return 1;
	return h->known ? 0 : -EAGAIN;
}
