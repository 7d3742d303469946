/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef STORE_H
#define STORE_H

/*
 * What was computed from git objects, kept on disk between runs: blocks without
 * pointers, keyed by the id of the object and what kind of block it is.
 *
 * The directory holds immutable segment files, each written to the side and renamed
 * into place, so that a reader sees a whole segment or none and two writers do not
 * disturb each other.  Segments are mapped; a found block is borrowed from the mapping.
 * A damaged segment or block is a miss, never an error: everything can be recomputed.
 *
 * Context: one thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_ID 20 /* bytes of an object id */

#define STORE_PINNED 64u /* blocks of this kind and higher ones stay where they are */

struct store;

struct store_stats {
	uint64_t found, missed, damaged, written;
};

/*
 * Opens the cache in DIR, NULL for ${XDG_CACHE_HOME:-~/.cache}/export-audit, which is
 * created if need be; NAME is the version of everything in it.  "" as DIR: memory only.
 * A directory that cannot be used is the same as memory only.  Return: 0 or -ENOMEM.
 */
int store_open(const char *dir, const char *name, struct store **out);
/* VALID is asked once for each block that comes from disk; false makes it a miss. */
void store_check(struct store *s, bool (*valid)(uint32_t kind, const void *block, size_t size));
/* Drops everything not flushed.  Blocks borrowed from the store die with it. */
void store_close(struct store *s);

/* Return: the block, *size its bytes, 8-byte aligned; NULL when not there. */
const void *store_find(struct store *s, const uint8_t id[STORE_ID], uint32_t kind, size_t *size);

/* Ownership: BLOCK, of malloc(), is the store's on success.  -ENOMEM: it stays the caller's. */
int store_add(struct store *s, const uint8_t id[STORE_ID], uint32_t kind, void *block, size_t size);

/*
 * Writes the blocks that were added since the last flush, if they have at least MIN bytes. With
 * MOVE, blocks of kinds below STORE_PINNED leave the memory once they are on disk, so nobody may
 * have borrowed one. Without it, at the end of a run, segments are merged when there are many.
 * Return: 0, or the -errno that kept them from disk, which costs only time.
 */
int store_flush(struct store *s, size_t min, bool move);

/* Gives the memory of the mappings back; the kernel reads it again when a block is used. */
void store_trim(struct store *s);

const struct store_stats *store_stats(const struct store *s);

#endif
