/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef INDEX_H
#define INDEX_H

/* Which files, macros and inline functions use a name. */

#include "graph/resolve.h"

/* One place that uses a name: a file itself, or a macro or inline function in it. */
struct use {
	uint32_t file;
	uint32_t owner; /* entity number or NO_OWNER */
};

struct index {
	struct hmap keys; /* name to slot */
	uint32_t *first;  /* slot to uses */
	struct use *uses;
};

/* Finds the uses of all names in keys, in all files; the values in keys are ignored. */
int index_uses(struct resolver *r, struct index *index);
void index_free(struct index *index);

/* A small set of all references of the tree. It may say that it has one that is not there. */
struct refs_seen {
	uint64_t *words;
	uint32_t mask;
};

int refs_seen_init(const struct resolver *r, struct refs_seen *out);

static inline uint64_t refs_seen_bits(uint64_t ref)
{
	return 1ull << (ref >> 58) | 1ull << (ref >> 52 & 63);
}

static inline bool refs_seen(const struct refs_seen *s, uint64_t ref)
{
	uint64_t bits = refs_seen_bits(ref);

	return (s->words[ref & s->mask] & bits) == bits;
}

#endif
