// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Packs and their indices, of version 2: git has written no other since 2008. */
#include "git/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER 8          /* of an index: magic and version */
#define FANOUT (256 * 4)  /* objects up to each first byte */
#define TRAILER PACK_ID   /* a checksum ends both files, two end the index */
#define REF_DELTA 7       /* against the object of an id */
#define LARGE 0x80000000u /* an offset that is a number of a large one */

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int map_file(const char *path, size_t min, const uint8_t **map, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p = MAP_FAILED;

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && (size_t)st.st_size >= min)
		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return -EBADMSG;
	*map = p;
	*size = (size_t)st.st_size;
	return 0;
}

static const uint8_t *ids(const struct pack *p)
{
	return p->index + HEADER + FANOUT;
}

static const uint8_t *offsets(const struct pack *p)
{
	return ids(p) + (size_t)p->n * (PACK_ID + 4);
}

/* The fan-out must not decrease, for the search relies on it. */
static int check_index(struct pack *p)
{
	size_t fixed = HEADER + FANOUT + 2 * TRAILER, each = PACK_ID + 4 + 4;
	uint32_t before = 0;

	if (memcmp(p->index, "\377tOc\0\0\0\2", HEADER))
		return -EBADMSG;
	for (int i = 0; i < 256; i++) {
		uint32_t n = be32(p->index + HEADER + 4 * i);

		if (n < before)
			return -EBADMSG;
		before = n;
	}
	p->n = before;
	if ((p->index_size - fixed) / each < p->n)
		return -EBADMSG;
	p->large = offsets(p) + (size_t)p->n * 4;
	p->n_large = (p->index_size - fixed - p->n * each) / 8;
	return 0;
}

int pack_open(const char *index, struct pack *out)
{
	size_t n = strlen(index);
	struct pack p = { 0 };
	char path[4096];
	int err;

	if (n < 4 || n + 2 > sizeof(path))
		return -ENAMETOOLONG;
	memcpy(path, index, n - 3);
	strcpy(path + n - 3, "pack");
	err = map_file(index, HEADER + FANOUT + 2 * TRAILER, &p.index, &p.index_size);
	if (!err)
		err = map_file(path, 12 + TRAILER, &p.data, &p.data_size);
	if (!err)
		err = check_index(&p);
	if (!err && (memcmp(p.data, "PACK\0\0\0\2", 8) || be32(p.data + 8) != p.n))
		err = -EBADMSG;
	if (err)
		pack_close(&p);
	else
		*out = p;
	return err;
}

void pack_close(struct pack *p)
{
	if (p->index)
		munmap((void *)(uintptr_t)p->index, p->index_size);
	if (p->data)
		munmap((void *)(uintptr_t)p->data, p->data_size);
	*p = (struct pack){ 0 };
}

void pack_trim(const struct pack *p)
{
	madvise((void *)(uintptr_t)p->data, p->data_size, MADV_DONTNEED);
}

bool pack_find(const struct pack *p, const uint8_t id[PACK_ID], uint64_t *offset)
{
	const uint8_t *fanout = p->index + HEADER, *found = NULL;
	uint32_t lo = *id ? be32(fanout + 4 * (*id - 1)) : 0, hi = be32(fanout + 4 * *id), at;

	while (!found && lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = memcmp(id, ids(p) + (size_t)mid * PACK_ID, PACK_ID);

		if (!c)
			found = offsets(p) + (size_t)mid * 4;
		else if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	if (!found)
		return false;
	at = be32(found);
	if (!(at & LARGE)) {
		*offset = at;
		return true;
	}
	at &= ~LARGE;
	if (at >= p->n_large)
		return false;
	*offset = (uint64_t)be32(p->large + 8 * (size_t)at) << 32 |
		  be32(p->large + 8 * (size_t)at + 4);
	return true;
}

/*
 * How far back the base of a delta is: each further byte also counts what shorter ones cannot say.
 */
static int base_distance(const struct pack *p, uint64_t *at, uint64_t end, uint64_t *out)
{
	uint64_t v = p->data[*at] & 0x7f;

	while (p->data[(*at)++] & 0x80) {
		if (*at >= end || v >> 56)
			return -EBADMSG;
		v = (v + 1) << 7 | (p->data[*at] & 0x7f);
	}
	*out = v;
	return 0;
}

int pack_entry(const struct pack *p, uint64_t offset, struct pack_entry *out)
{
	uint64_t end = p->data_size - TRAILER, at = offset, distance;
	unsigned int shift = 4;
	struct pack_entry e;

	if (offset < 12 || offset >= end)
		return -EBADMSG;
	e = (struct pack_entry){ .type = p->data[at] >> 4 & 7, .size = p->data[at] & 15 };
	while (p->data[at++] & 0x80) {
		if (at >= end || shift > 56)
			return -EBADMSG;
		e.size |= (uint64_t)(p->data[at] & 0x7f) << shift;
		shift += 7;
	}
	if (at >= end)
		return -EBADMSG;
	if ((int)e.type == REF_DELTA) {
		if (at + PACK_ID >= end || !pack_find(p, p->data + at, &e.base))
			return -EBADMSG;
		at += PACK_ID;
		e.type = PACK_DELTA;
	} else if (e.type == PACK_DELTA) {
		if (base_distance(p, &at, end, &distance) || distance > offset)
			return -EBADMSG;
		e.base = offset - distance;
	} else if (e.type < PACK_COMMIT || e.type > PACK_TAG) {
		return -EBADMSG;
	}
	e.at = at;
	*out = e;
	return 0;
}
