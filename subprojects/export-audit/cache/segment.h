/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef SEGMENT_H
#define SEGMENT_H

/* One immutable file of the cache: a header, an index with checksums, 8-byte aligned blocks. */

#include <stddef.h>
#include <stdint.h>

struct segment_entry {
	uint8_t id[20];
	uint32_t kind;
	uint64_t offset, size, sum;
};

struct segment {
	char *path;
	const char *map;
	size_t bytes, count;
	const struct segment_entry *entries;
};

uint64_t segment_sum(const void *block, size_t size);

/* Return: 0; -ENOMEM; anything else: the file is not a whole segment. */
int segment_map(const char *path, struct segment *out);
void segment_unmap(struct segment *s);

/*
 * Writes N blocks to a new file in DIR; sets the offsets.
 * Return: 0 and a malloc()ed *path, or -errno.
 */
int segment_write(const char *dir, struct segment_entry *entries, const void *const *blocks,
		  size_t n, char **path);

#endif
