// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The on-disk cache: a hash table over mapped segments and blocks not yet written. */
#include "cache/store.h"
#include "base/grow.h"
#include "cache/segment.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_SEGMENTS 24 /* more are merged into one at the end of a run */

struct slot {
	uint8_t id[STORE_ID];
	uint32_t kind; /* 0: empty */
	const void *block;
	uint64_t size, sum;
	bool checked; /* the sum was compared, or the block never left memory */
	bool dirty;   /* not on disk yet */
};

/* A block of malloc(). */
struct owned {
	void *block;
	bool pinned;
};

struct store {
	char *dir; /* NULL: memory only */
	struct segment *segments;
	size_t n_segments, c_segments;
	struct slot *slots;
	size_t n, mask;
	struct owned *blocks;
	size_t n_blocks, c_blocks;
	uint64_t dirty_bytes;
	bool repair; /* a segment has a damaged block: the flush at the end replaces them all */
	bool (*valid)(uint32_t kind, const void *block, size_t size);
	struct store_stats stats;
};

static size_t slot_of(const struct store *s, const uint8_t *id, uint32_t kind)
{
	uint64_t h;
	size_t i;

	memcpy(&h, id, sizeof(h));
	for (i = (h ^ kind * 0x9e3779b97f4a7c15u) & s->mask; s->slots[i].kind;
	     i = (i + 1) & s->mask)
		if (s->slots[i].kind == kind && !memcmp(s->slots[i].id, id, STORE_ID))
			break;
	return i;
}

static int reserve(struct store *s, size_t extra)
{
	struct slot *old = s->slots;
	size_t size = s->mask + 1, was = size;

	if (old && (s->n + extra) * 2 <= size)
		return 0;
	while ((s->n + extra) * 2 > size)
		size *= 2;
	s->slots = calloc(size, sizeof(*s->slots));
	if (!s->slots) {
		s->slots = old;
		return -ENOMEM;
	}
	s->mask = size - 1;
	for (size_t i = 0; old && i < was; i++)
		if (old[i].kind)
			s->slots[slot_of(s, old[i].id, old[i].kind)] = old[i];
	free(old);
	return 0;
}

static int insert(struct store *s, const struct slot *new)
{
	int err = reserve(s, 1);
	size_t i;

	if (err)
		return err;
	i = slot_of(s, new->id, new->kind);
	s->n += !s->slots[i].kind;
	s->slots[i] = *new;
	return 0;
}

static int load_segment(struct store *s, const char *path)
{
	struct segment seg;
	int err;

	err = segment_map(path, &seg);
	if (err == -ENOMEM)
		return err;
	if (err) {
		s->stats.damaged++;
		unlink(path);
		return 0;
	}
	err = grow_room(s->segments, s->n_segments, s->c_segments);
	if (!err)
		err = reserve(s, seg.count);
	for (size_t i = 0; !err && i < seg.count; i++) {
		const struct segment_entry *e = &seg.entries[i];
		struct slot new = { .kind = e->kind,
				    .block = seg.map + e->offset,
				    .size = e->size,
				    .sum = e->sum };

		memcpy(new.id, e->id, STORE_ID);
		err = insert(s, &new);
	}
	if (err)
		segment_unmap(&seg);
	else
		s->segments[s->n_segments++] = seg;
	return err;
}

static int load_all(struct store *s)
{
	DIR *d = opendir(s->dir);
	struct dirent *e;
	int err = 0;

	if (!d)
		return 0;
	while (!err && (e = readdir(d))) {
		char path[4096];
		size_t len = strlen(e->d_name);

		if (len < 4 || strcmp(e->d_name + len - 4, ".seg") ||
		    snprintf(path, sizeof(path), "%s/%s", s->dir, e->d_name) >= (int)sizeof(path))
			continue;
		err = load_segment(s, path);
	}
	closedir(d);
	return err;
}

/* Makes each directory of PATH; false where that fails. */
static bool make_dirs(char *path)
{
	for (char *p = strchr(path + 1, '/');; p = strchr(p + 1, '/')) {
		bool ok;

		if (p)
			*p = 0;
		ok = !mkdir(path, 0777) || errno == EEXIST;
		if (!p)
			return ok && !access(path, R_OK | W_OK | X_OK);
		*p = '/';
		if (!ok)
			return false;
	}
}

static int choose_dir(const char *dir, const char *name, char **out)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	int n = -1;

	*out = NULL;
	if (dir && !*dir)
		return 0;
	if (dir)
		n = asprintf(out, "%s/%s", dir, name);
	else if (xdg && *xdg == '/')
		n = asprintf(out, "%s/export-audit/%s", xdg, name);
	else if (home && *home)
		n = asprintf(out, "%s/.cache/export-audit/%s", home, name);
	else
		return 0;
	if (n < 0) {
		*out = NULL;
		return -ENOMEM;
	}
	if (!make_dirs(*out)) {
		free(*out);
		*out = NULL;
	}
	return 0;
}

int store_open(const char *dir, const char *name, struct store **out)
{
	struct store *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->mask = 1023;
	err = choose_dir(dir, name, &s->dir);
	if (!err)
		err = reserve(s, 1);
	if (!err && s->dir)
		err = load_all(s);
	if (err)
		store_close(s);
	else
		*out = s;
	return err;
}

void store_check(struct store *s, bool (*valid)(uint32_t kind, const void *block, size_t size))
{
	s->valid = valid;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_segments; i++)
		segment_unmap(&s->segments[i]);
	for (size_t i = 0; i < s->n_blocks; i++)
		free(s->blocks[i].block);
	free(s->blocks);
	free(s->segments);
	free(s->slots);
	free(s->dir);
	free(s);
}

const void *store_find(struct store *s, const uint8_t id[STORE_ID], uint32_t kind, size_t *size)
{
	struct slot *e = &s->slots[slot_of(s, id, kind)];

	if (e->kind && !e->checked) {
		e->checked = true;
		if (segment_sum(e->block, e->size) != e->sum ||
		    (s->valid && !s->valid(kind, e->block, e->size))) {
			e->block = NULL;
			s->repair = true;
			s->stats.damaged++;
		}
	}
	if (!e->kind || !e->block) {
		s->stats.missed++;
		return NULL;
	}
	s->stats.found++;
	*size = e->size;
	return e->block;
}

int store_add(struct store *s, const uint8_t id[STORE_ID], uint32_t kind, void *block, size_t size)
{
	struct slot new = {
		.kind = kind, .block = block, .size = size, .checked = true, .dirty = true
	};
	int err = grow_room(s->blocks, s->n_blocks, s->c_blocks);

	memcpy(new.id, id, STORE_ID);
	if (!err)
		err = insert(s, &new);
	if (err)
		return err;
	s->blocks[s->n_blocks++] = (struct owned){ block, kind >= STORE_PINNED };
	s->dirty_bytes += size;
	return 0;
}

/* Merging keeps all blocks that are worth it; else only the new ones are written. */
static bool wanted(const struct slot *e, bool merge)
{
	return e->kind && e->block && (merge || e->dirty);
}

static int collect(struct store *s, bool merge, struct segment_entry **entries,
		   const void ***blocks, size_t *n)
{
	size_t count = 0;

	for (size_t i = 0; i <= s->mask; i++)
		count += wanted(&s->slots[i], merge);
	*entries = calloc(count + 1, sizeof(**entries));
	*blocks = calloc(count + 1, sizeof(**blocks));
	if (!*entries || !*blocks)
		return -ENOMEM;
	*n = 0;
	for (size_t i = 0; i <= s->mask; i++) {
		struct slot *e = &s->slots[i];
		struct segment_entry *o = &(*entries)[*n];

		if (!wanted(e, merge))
			continue;
		memcpy(o->id, e->id, STORE_ID);
		o->kind = e->kind;
		o->size = e->size;
		if (e->dirty)
			e->sum = segment_sum(e->block, e->size);
		o->sum = e->sum;
		(*blocks)[(*n)++] = e->block;
	}
	return 0;
}

static void remove_old(struct store *s)
{
	for (size_t i = 0; i < s->n_segments; i++)
		unlink(s->segments[i].path);
}

/* Moves blocks from memory to the mapping of the new segment at PATH. */
static void move_blocks(struct store *s, const char *path)
{
	struct segment seg;
	size_t kept = 0;

	if (grow_room(s->segments, s->n_segments, s->c_segments) || segment_map(path, &seg))
		return;
	for (size_t i = 0; i < seg.count; i++) {
		const struct segment_entry *e = &seg.entries[i];
		struct slot *slot = &s->slots[slot_of(s, e->id, e->kind)];

		if (e->kind < STORE_PINNED)
			slot->block = seg.map + e->offset;
	}
	s->segments[s->n_segments++] = seg;
	for (size_t i = 0; i < s->n_blocks; i++) {
		if (s->blocks[i].pinned)
			s->blocks[kept++] = s->blocks[i];
		else
			free(s->blocks[i].block);
	}
	s->n_blocks = kept;
}

static void wrote(struct store *s, bool merge, bool move, const char *path)
{
	if (merge) {
		remove_old(s);
		s->repair = false;
	}
	for (size_t i = 0; i <= s->mask; i++)
		s->slots[i].dirty = false;
	s->stats.written += s->dirty_bytes;
	s->dirty_bytes = 0;
	if (move)
		move_blocks(s, path);
}

int store_flush(struct store *s, size_t min, bool move)
{
	/* only once, at the end of a run: it rewrites everything */
	bool merge = !move && (s->repair || s->n_segments >= MAX_SEGMENTS);
	struct segment_entry *entries = NULL;
	const void **blocks = NULL;
	char *path = NULL;
	size_t n;
	int err;

	if (!s->dir || !s->dirty_bytes || s->dirty_bytes < min)
		return 0;
	err = collect(s, merge, &entries, &blocks, &n);
	if (!err)
		err = segment_write(s->dir, entries, blocks, n, &path);
	if (!err)
		wrote(s, merge, move, path);
	free(path);
	free(entries);
	free(blocks);
	return err;
}

void store_trim(struct store *s)
{
	for (size_t i = 0; i < s->n_segments; i++)
		madvise((void *)(uintptr_t)s->segments[i].map, s->segments[i].bytes, MADV_DONTNEED);
}

const struct store_stats *store_stats(const struct store *s)
{
	return &s->stats;
}
