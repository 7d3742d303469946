/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef RECENT_H
#define RECENT_H

/*
 * The objects of packs that were read last, by their place: other objects are stored as deltas to
 * them.  Context: one thread.
 */

#include <stddef.h>
#include <stdint.h>

struct recent_object {
	uint64_t place;
	char *data; /* malloc()ed, a NUL behind it */
	size_t size;
	unsigned int type;
	uint32_t newer, older, chain; /* places in the table, RECENT_NONE: the end */
};

#define RECENT_SLOTS 4096u
#define RECENT_NONE UINT32_MAX

struct recent {
	struct recent_object v[RECENT_SLOTS];
	uint32_t heads[RECENT_SLOTS];  /* by hash */
	uint32_t newest, oldest, free; /* free: a chain */
	uint32_t n, used;              /* in the table; slots ever used */
	size_t bytes, limit;
};

void recent_init(struct recent *r, size_t limit);
void recent_fini(struct recent *r);
/* NULL when not there; else valid until the second recent_add() from now. */
const struct recent_object *recent_find(struct recent *r, uint64_t place);
/* Ownership: DATA is the table's. */
const struct recent_object *recent_add(struct recent *r, uint64_t place, unsigned int type,
				       char *data, size_t size);

#endif
