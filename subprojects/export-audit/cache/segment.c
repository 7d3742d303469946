// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "cache/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SEGMENT_MAGIC 0x31474553584541ull

struct header {
	uint64_t magic, count, bytes;
	uint64_t sum; /* of the index */
};

/* Not cryptographic: it finds torn writes and bad disks. */
uint64_t segment_sum(const void *block, size_t size)
{
	const char *p = block;
	uint64_t a = 0x9e3779b97f4a7c15u ^ size, b = 0xc2b2ae3d27d4eb4fu, w;

	for (size_t i = 0; i < size; i += 8) {
		w = 0;
		memcpy(&w, p + i, size - i < 8 ? size - i : 8);
		a = (a ^ w) * 0xff51afd7ed558ccdu;
		a ^= a >> 29;
		b += a;
	}
	return a ^ (b << 1);
}

static int check(const struct segment *s, const struct header *h)
{
	size_t index = sizeof(*h) + h->count * sizeof(struct segment_entry);

	if (h->magic != SEGMENT_MAGIC || h->bytes != s->bytes ||
	    h->count > s->bytes / sizeof(struct segment_entry) || index > s->bytes)
		return -EBADMSG;
	if (segment_sum(s->entries, h->count * sizeof(*s->entries)) != h->sum)
		return -EBADMSG;
	for (size_t i = 0; i < h->count; i++) {
		const struct segment_entry *e = &s->entries[i];

		if (!e->kind || e->offset % 8 || e->offset < index || e->offset > s->bytes ||
		    e->size > s->bytes - e->offset)
			return -EBADMSG;
	}
	return 0;
}

int segment_map(const char *path, struct segment *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;
	struct segment s = { 0 };
	struct stat st;
	void *map = MAP_FAILED;

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && (size_t)st.st_size >= sizeof(struct header))
		map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return -EBADMSG;
	s.map = map;
	s.bytes = (size_t)st.st_size;
	s.entries = (const void *)(s.map + sizeof(struct header));
	s.path = strdup(path);
	if (!s.path)
		err = -ENOMEM;
	if (!err)
		err = check(&s, map);
	if (err) {
		segment_unmap(&s);
		return err;
	}
	s.count = ((const struct header *)map)->count;
	*out = s;
	return 0;
}

void segment_unmap(struct segment *s)
{
	munmap((void *)(uintptr_t)s->map, s->bytes);
	free(s->path);
}

static int write_file(FILE *f, struct segment_entry *entries, const void *const *blocks, size_t n)
{
	static const char pad[8];
	struct header h = { SEGMENT_MAGIC, n, 0, 0 };
	uint64_t at = sizeof(h) + n * sizeof(*entries);

	for (size_t i = 0; i < n; i++) {
		entries[i].offset = at;
		at += (entries[i].size + 7) & ~7ull;
	}
	h.bytes = at;
	h.sum = segment_sum(entries, n * sizeof(*entries));
	fwrite(&h, sizeof(h), 1, f);
	fwrite(entries, sizeof(*entries), n, f);
	for (size_t i = 0; i < n; i++) {
		fwrite(blocks[i], 1, entries[i].size, f);
		fwrite(pad, 1, -entries[i].size & 7, f);
	}
	return fflush(f) || ferror(f) ? -EIO : 0;
}

int segment_write(const char *dir, struct segment_entry *entries, const void *const *blocks,
		  size_t n, char **out)
{
	char tmp[4096], path[4096];
	struct timespec now;
	int fd, err;
	FILE *f;

	clock_gettime(CLOCK_REALTIME, &now);
	if (snprintf(tmp, sizeof(tmp), "%s/new-XXXXXX", dir) >= (int)sizeof(tmp) ||
	    snprintf(path, sizeof(path), "%s/%lx-%lx-%x.seg", dir, (long)now.tv_sec, now.tv_nsec,
		     (unsigned int)getpid()) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = mkstemp(tmp);
	if (fd < 0)
		return -errno;
	f = fdopen(fd, "w");
	if (!f) {
		close(fd);
		unlink(tmp);
		return -EMFILE;
	}
	err = write_file(f, entries, blocks, n);
	if (fclose(f) && !err)
		err = -EIO;
	if (!err && rename(tmp, path))
		err = -errno;
	if (err)
		unlink(tmp);
	*out = err ? NULL : strdup(path);
	return err || *out ? err : -ENOMEM;
}
