/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef PACK_H
#define PACK_H

/*
 * One pack of a git repository, mapped: where its objects are, and what is said of each
 * before its deflated bytes.  libgit2 can read packs too, but with zlib, which takes three
 * times as long as libdeflate, behind locks that all threads share, and without telling where
 * an object is, so that what is stored as differences cannot be read in order.
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
	PACK_DELTA = 6, /* against what is BASE bytes into the pack */
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
/* Lets go of the memory that the mapping takes; it comes back when needed. */
void pack_trim(const struct pack *p);

bool pack_find(const struct pack *p, const uint8_t id[PACK_ID], uint64_t *offset);
/* Return: 0 or -EBADMSG. */
int pack_entry(const struct pack *p, uint64_t offset, struct pack_entry *out);

#endif
