/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef PACK_H
#define PACK_H

/*
 * One pack of a git repository, mapped: the places of its objects, and the header of each. libgit2
 * reads packs too, but with zlib, which takes three times as long as libdeflate, and behind locks
 * that all threads share. Nor does it tell where an object is, and deltas are read fast only in the
 * order of their places.
 *
 * Nothing in a pack is trusted.  Context: any threads, once it is open.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACK_ID 20 /* bytes of an object id */

struct pack {
	const uint8_t *index, *data; /* the two files */
	size_t index_size, data_size;
	uint32_t n;           /* objects */
	const uint8_t *large; /* offsets above 2 GiB */
	size_t n_large;
};

enum pack_type {
	PACK_COMMIT = 1,
	PACK_TREE = 2,
	PACK_BLOB = 3,
	PACK_TAG = 4,
	PACK_DELTA = 6, /* a delta to the object at BASE in the pack */
};

struct pack_entry {
	enum pack_type type;
	uint64_t size; /* inflated */
	uint64_t base; /* of a delta */
	uint64_t at;   /* of the deflated bytes */
};

/*
 * INDEX: path of the .idx; the .pack lies beside it.  Return: 0; -ENOMEM; -EBADMSG or the
 * errno of open(): not one that can be read here, which somebody else may be able to.
 */
int pack_open(const char *index, struct pack *out);
void pack_close(struct pack *p);
/* Gives the memory of the mapping back; the kernel reads it again when it is used. */
void pack_trim(const struct pack *p);

bool pack_find(const struct pack *p, const uint8_t id[PACK_ID], uint64_t *offset);
/* Return: 0 or -EBADMSG. */
int pack_entry(const struct pack *p, uint64_t offset, struct pack_entry *out);

#endif
