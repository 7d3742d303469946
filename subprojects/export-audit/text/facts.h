/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef FACTS_H
#define FACTS_H

/*
 * A struct blob while it is being written: growing arrays, a string pool, and for each
 * of the nested owners (the file, an inline function, a macro) the set of its references.
 * Private to the scanner.
 */

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/vec.h"
#include "text/blob.h"

/* Open-addressing set of hashes that empties in O(1): a slot counts if its epoch is current. */
struct refset {
	uint64_t *slots;
	uint32_t *epochs;
	uint32_t epoch, n, mask;
	struct vec list; /* members in order of arrival */
};

#define LOOKUPS 6

enum owner { OWNER_TU, OWNER_INLINE, OWNER_MACRO, OWNERS };

struct facts {
	struct refset refs[OWNERS];
	struct refset strings, options;
	struct vec entity_refs, exports, defs, entities, invocations, includes, pool;
	struct vec guards, guarded;  /* struct blob_guard, struct blob_guarded */
	struct refset guarded_pairs; /* what of them is there */
	uint32_t guard;              /* the condition that holds here; 0: none */
	uint64_t lookups[LOOKUPS];   /* hashes of lookup_functions */
	uint32_t flags, namespace_str, text_str;
	uint32_t line; /* where the scanner is, roughly */
	bool oom;
};

#define FACTS_LIMIT (64u << 20) /* bytes of one array; beyond it facts are dropped */

int facts_init(struct facts *f);
void facts_fini(struct facts *f);
void facts_reset(struct facts *f);

uint32_t facts_str(struct facts *f, const char *s, size_t len);
/* blanks, comments and line continuations folded to one blank */
uint32_t facts_folded(struct facts *f, const char *s, size_t len);
void *facts_add(struct facts *f, struct vec *v, size_t size);

void refset_add_slow(struct facts *f, struct refset *s, uint64_t h);
/* The same for a reference of the file under a condition. */
void refset_add_guarded(struct facts *f, uint64_t h);
/* A condition within the present one; its number, 0 if there are too many. */
uint32_t facts_guard(struct facts *f, const char *text, size_t len, uint32_t outer, bool negated);
void refset_clear(struct refset *s);

static inline void refset_add(struct facts *f, struct refset *s, uint64_t h)
{
	uint32_t i = (uint32_t)h & s->mask;

	if (f->guard && s == &f->refs[OWNER_TU]) {
		refset_add_guarded(f, h);
		return;
	}
	while (s->epochs[i] == s->epoch) {
		if (s->slots[i] == h)
			return;
		i = (i + 1) & s->mask;
	}
	refset_add_slow(f, s, h);
}

/* Moves the references of an inline function or macro to the entity that owns them. */
void facts_close_entity(struct facts *f, struct refset *s, struct blob_entity *e);

/* Copies everything to one block. */
int facts_block(struct facts *f, enum blob_kind kind, uint32_t lines, struct blob **out);

#endif
