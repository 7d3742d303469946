// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Resolution of #include lines. */
#include "kbuild/include.h"
#include "base/hash.h"
#include "base/hmap.h"
#include "kbuild/closure.h"
#include "kbuild/path.h"
#include "text/facts.h"
#include "text/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct resolver {
	const struct source_file *files;
	uint32_t n_files;
	struct hmap paths, bases, cache; /* cache: (text, arch) to a place in pool */
	uint32_t *next;                  /* files with the same base name */
	uint32_t *pool, n_pool, cap_pool;
	bool oom;
};

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void push(struct resolver *r, uint32_t v)
{
	if (r->n_pool == r->cap_pool) {
		uint32_t cap = r->cap_pool ? r->cap_pool * 2 : 1u << 16;
		uint32_t *pool = realloc(r->pool, cap * sizeof(*pool));

		if (!pool) {
			r->oom = true;
			return;
		}
		r->pool = pool;
		r->cap_pool = cap;
	}
	r->pool[r->n_pool++] = v;
}

static int index_files(struct resolver *r)
{
	int err = hmap_init(&r->paths, r->n_files);

	err = err ? err : hmap_init(&r->bases, r->n_files);
	err = err ? err : hmap_init(&r->cache, r->n_files);
	r->next = malloc((r->n_files + 1) * sizeof(*r->next));
	if (err || !r->next)
		return -ENOMEM;
	for (uint32_t i = 0; i < r->n_files; i++) {
		const char *path = r->files[i].path, *base = base_of(path);
		uint32_t *slot;

		if (r->files[i].blob->kind == BLOB_MAKE || r->files[i].blob->kind == BLOB_KCONFIG)
			continue;
		slot = hmap_slot(&r->paths, hash_bytes(path, strlen(path)));
		if (!slot)
			return -ENOMEM;
		*slot = i;
		slot = hmap_slot(&r->bases, hash_bytes(base, strlen(base)));
		if (!slot)
			return -ENOMEM;
		r->next[i] = *slot;
		*slot = i;
	}
	return 0;
}

static bool exact(struct resolver *r, const char *dir, const char *text)
{
	char path[1024];
	uint32_t f;

	make_path(dir, text, path, sizeof(path));
	f = hmap_get(&r->paths, hash_bytes(path, strlen(path)));
	if (f == HMAP_NONE || strcmp(r->files[f].path, path))
		return false;
	push(r, f);
	return true;
}

static size_t common(const char *a, const char *b)
{
	size_t n = 0, slash = 0;

	for (; a[n] && a[n] == b[n]; n++)
		if (a[n] == '/')
			slash = n + 1;
	return slash;
}

/* Files whose path ends in "/text": those nearest to the includer. */
static void by_suffix(struct resolver *r, const char *from, const char *text)
{
	const char *base = base_of(text);
	uint32_t start = r->n_pool;
	size_t n = strlen(text), best = 0;

	while (!strncmp(text, "../", 3)) {
		text += 3;
		n -= 3;
	}
	for (uint32_t f = hmap_get(&r->bases, hash_bytes(base, strlen(base))); f != HMAP_NONE;
	     f = r->next[f]) {
		const char *path = r->files[f].path;
		size_t len = strlen(path), near;

		if (len < n || strcmp(path + len - n, text) ||
		    (len > n && path[len - n - 1] != '/'))
			continue;
		near = common(path, from);
		if (near < best)
			continue;
		if (near > best)
			r->n_pool = start;
		best = near;
		push(r, f);
	}
}

/* <asm/x.h> for one architecture; false if it has none of its own. */
static bool arch_header(struct resolver *r, const char *arch, size_t n, const char *text)
{
	static const char *const dirs[] = { "include", "include/uapi", "include/generated" };
	char dir[256];
	bool hit = false;

	for (int i = 0; i < 3; i++) {
		snprintf(dir, sizeof(dir), "arch/%.*s/%s", (int)n, arch, dirs[i]);
		hit |= exact(r, dir, text);
	}
	return hit;
}

static void angled(struct resolver *r, const char *from, const char *text)
{
	char generic[300];
	bool asm_ = !strncmp(text, "asm/", 4);

	if (!strncmp(from, "arch/", 5) && arch_header(r, from + 5, strcspn(from + 5, "/"), text))
		return;
	if (exact(r, "include", text) || exact(r, "include/uapi", text))
		return;
	if (!asm_) {
		by_suffix(r, from, text);
		return;
	}
	/* common code sees the header of each architecture, and the generic one that others use */
	for (uint32_t f = hmap_get(&r->bases, hash_bytes(base_of(text), strlen(base_of(text))));
	     f != HMAP_NONE; f = r->next[f]) {
		const char *path = r->files[f].path;
		size_t len = strlen(path), n = strlen(text);

		if (len > n && path[len - n - 1] == '/' && !strcmp(path + len - n, text) &&
		    !strncmp(path, "arch/", 5))
			push(r, f);
	}
	snprintf(generic, sizeof(generic), "asm-generic/%s", text + 4);
	exact(r, "include", generic);
	exact(r, "include/uapi", generic);
}

static void resolve(struct resolver *r, uint32_t file, const char *text, uint32_t quoted,
		    uint32_t *start, uint32_t *n)
{
	const char *from = r->files[file].path, *slash = strrchr(from, '/');
	uint64_t key = hash_bytes(text, strlen(text));
	uint32_t *slot, at = r->n_pool;
	char dir[1024];

	*start = at;
	*n = 0;
	if (quoted == 2 || !*text || (size_t)(slash ? slash - from : 0) >= sizeof(dir))
		return;
	if (quoted) {
		snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - from) : 0, from);
		if (exact(r, dir, text)) {
			*n = r->n_pool - at;
			return;
		}
	}
	/*
	 * A file that is not beside the includer depends on its folder; <linux/x.h> outside of
	 * arch/ does not.
	 */
	key = hash_mix(key, hash_bytes(from, strncmp(from, "arch/", 5) && !quoted &&
							     !strncmp(text, "linux/", 6)
						     ? 0
					     : slash ? (size_t)(slash - from)
						     : 0) |
				    1);
	slot = hmap_slot(&r->cache, key);
	if (!slot) {
		r->oom = true;
		return;
	}
	if (*slot == HMAP_NONE) {
		uint32_t head = r->n_pool;

		push(r, 0);
		angled(r, from, text);
		if (r->oom)
			return;
		r->pool[head] = r->n_pool - head - 1;
		*slot = head;
	}
	*start = *slot + 1;
	*n = r->pool[*slot];
}

static int edges(struct resolver *r, struct includes *out)
{
	uint32_t n = 0, cap = 1u << 16;

	out->first = calloc(r->n_files + 2, sizeof(*out->first));
	out->targets = malloc(cap * sizeof(*out->targets));
	if (!out->first || !out->targets)
		return -ENOMEM;
	for (uint32_t f = 0; f < r->n_files; f++) {
		const struct blob *b = r->files[f].blob;
		const struct blob_include *inc = BLOB_ARRAY(b, blob_include, includes);

		out->first[f] = n;
		for (uint32_t i = 0; i < b->n_includes; i++) {
			uint32_t start, k;

			resolve(r, f, blob_str(b, inc[i].path_str), inc[i].quoted, &start, &k);
			if (r->oom)
				return -ENOMEM;
			if (n + k > cap) {
				uint32_t *t;

				while (n + k > cap)
					cap *= 2;
				t = realloc(out->targets, cap * sizeof(*t));
				if (!t)
					return -ENOMEM;
				out->targets = t;
			}
			for (uint32_t j = 0; j < k; j++)
				out->targets[n++] = r->pool[start + j];
		}
	}
	out->first[r->n_files] = n;
	return 0;
}

static int backwards(struct includes *i)
{
	uint32_t n = i->first[i->n_files];

	i->rfirst = calloc(i->n_files + 2, sizeof(*i->rfirst));
	i->rsources = malloc((n + 1) * sizeof(*i->rsources));
	i->id = malloc((i->n_files + 1) * sizeof(*i->id));
	if (!i->rfirst || !i->rsources || !i->id)
		return -ENOMEM;
	for (uint32_t e = 0; e < n; e++)
		i->rfirst[i->targets[e] + 2]++;
	for (uint32_t f = 0; f < i->n_files; f++) {
		i->id[f] = i->rfirst[f + 2] ? i->n_ids++ : UINT32_MAX;
		i->rfirst[f + 2] += i->rfirst[f + 1];
	}
	for (uint32_t f = 0; f < i->n_files; f++)
		for (uint32_t e = i->first[f]; e < i->first[f + 1]; e++)
			i->rsources[i->rfirst[i->targets[e] + 1]++] = f;
	return 0;
}

int includes_read(const struct source_file *files, uint32_t n_files, struct includes **out)
{
	struct resolver r = { .files = files, .n_files = n_files };
	struct includes *i = calloc(1, sizeof(*i));
	int err = i ? 0 : -ENOMEM;

	if (!err) {
		i->n_files = n_files;
		err = index_files(&r);
	}
	err = err ? err : edges(&r, i);
	err = err ? err : backwards(i);
	err = err ? err : includes_close(i);
	hmap_fini(&r.paths);
	hmap_fini(&r.bases);
	hmap_fini(&r.cache);
	free(r.next);
	free(r.pool);
	if (err) {
		includes_free(i);
		return err;
	}
	*out = i;
	return 0;
}

void includes_free(struct includes *i)
{
	if (!i)
		return;
	for (uint32_t v = 0; i->closure && i->scc && v < i->n_ids; v++)
		if (i->scc[v] == v)
			free(i->closure[v]);
	free(i->closure);
	free(i->scc);
	free(i->first);
	free(i->targets);
	free(i->rfirst);
	free(i->rsources);
	free(i->id);
	free(i);
}
