// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The block of facts about one file: how names are known in it, and whether it is whole. */
#include "text/blob.h"
#include "base/hash.h"

uint64_t blob_hash(const char *name, size_t len)
{
	return hash_bytes(name, len);
}

uint64_t blob_hash_pair(uint64_t macro, uint64_t arg)
{
	return hash_mix(macro ^ 0x8ebc6af09c88c6e3u, arg ^ 0x589965cc75374cc3u);
}

static bool in_block(const struct blob *b, uint32_t at, uint64_t n, size_t size)
{
	return at % 8 == 0 && at >= sizeof(*b) && at <= b->size && n * size <= b->size - at;
}

static bool valid_strings(const struct blob *b)
{
#define BAD(str) ((str) >= b->size)
	for (uint32_t i = 0; i < b->n_exports; i++) {
		const struct blob_export *x = BLOB_ARRAY(b, blob_export, exports) + i;

		if (BAD(x->name_str) || BAD(x->ns_str) || BAD(x->macro_str) ||
		    x->licence >= LICENCES || x->variant >= VARIANTS)
			return false;
	}
	for (uint32_t i = 0; i < b->n_defs; i++)
		if (BAD(BLOB_ARRAY(b, blob_def, defs)[i].name_str))
			return false;
	for (uint32_t i = 0; i < b->n_entities; i++) {
		const struct blob_entity *e = BLOB_ARRAY(b, blob_entity, entities) + i;

		if (BAD(e->name_str) || BAD(e->params_str) || BAD(e->body_str) ||
		    e->first_ref > b->n_refs || e->n_refs > b->n_refs - e->first_ref ||
		    e->guard > b->n_guards)
			return false;
	}
	for (uint32_t i = 0; i < b->n_invocations; i++) {
		const struct blob_invocation *v = BLOB_ARRAY(b, blob_invocation, invocations) + i;

		if (BAD(v->macro_str) || BAD(v->args_str))
			return false;
	}
	for (uint32_t i = 0; i < b->n_includes; i++)
		if (BAD(BLOB_ARRAY(b, blob_include, includes)[i].path_str))
			return false;
	for (uint32_t i = 0; i < b->n_guards; i++) {
		const struct blob_guard *g = BLOB_ARRAY(b, blob_guard, guards) + i;

		if (BAD(g->text_str) || g->outer > i)
			return false;
	}
	for (uint32_t i = 0; i < b->n_guarded; i++)
		if (BLOB_ARRAY(b, blob_guarded, guarded)[i].guard - 1 >= b->n_guards)
			return false;
	return !BAD(b->text_str) && !BAD(b->namespace_str);
#undef BAD
}

bool blob_valid(const void *block, size_t size)
{
	const struct blob *b = block;

	if (size < sizeof(*b) || size % 8 || b->magic != BLOB_MAGIC || b->version != BLOB_VERSION ||
	    b->size != size || ((const char *)block)[size - 1])
		return false;
	return b->n_tu_refs <= b->n_refs && in_block(b, b->refs, b->n_refs, 8) &&
	       in_block(b, b->strings, b->n_strings, 8) &&
	       in_block(b, b->exports, b->n_exports, sizeof(struct blob_export)) &&
	       in_block(b, b->defs, b->n_defs, sizeof(struct blob_def)) &&
	       in_block(b, b->entities, b->n_entities, sizeof(struct blob_entity)) &&
	       in_block(b, b->invocations, b->n_invocations, sizeof(struct blob_invocation)) &&
	       in_block(b, b->includes, b->n_includes, sizeof(struct blob_include)) &&
	       in_block(b, b->guards, b->n_guards, sizeof(struct blob_guard)) &&
	       in_block(b, b->guarded, b->n_guarded, sizeof(struct blob_guarded)) &&
	       in_block(b, b->options, b->n_options, 8) && valid_strings(b);
}
