// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The rule for a library's own symbols. */
#include "own/own.h"
#include "base/vec.h"

#include <errno.h>

#define ROUNDS 16

static bool has_folder(const char *path, const char *const *names, size_t n)
{
	for (const char *p = path; strchr(p, '/'); p = strchr(p, '/') + 1)
		for (size_t i = 0; i < n; i++)
			if (!strncmp(p, names[i], strlen(names[i])) && p[strlen(names[i])] == '/')
				return true;
	return false;
}

static enum user user_of(const struct own *o, uint32_t file)
{
	static const char *const tests[] = { "tests", "test", "selftests", "fuzz", "bench" };
	static const char *const examples[] = { "examples", "example", "demo", "samples" };
	const char *path = o->files[file].path;

	if (file >= o->first_other)
		return USER_PROGRAM;
	if (has_folder(path, tests, 5))
		return USER_TEST;
	if (has_folder(path, examples, 4))
		return USER_EXAMPLE;
	return o->is_library[file] ? USER_LIBRARY : USER_PROGRAM;
}

static bool same_or_below(const char *path, const char *dir, size_t n)
{
	return !n || (!strncmp(path, dir, n) && path[n] == '/');
}

static size_t trimmed(const char *dir)
{
	size_t n = strlen(dir);

	while (n && dir[n - 1] == '/')
		n--;
	return n;
}

/* Folder of the map below the root, "" if it is not there. */
static size_t map_folder(const struct own_request *q, const char **dir)
{
	size_t n = trimmed(q->root);
	const char *slash = strrchr(q->map, '/');

	*dir = q->map;
	if (!strcmp(q->root, ".") || (!strncmp(q->root, "./", 2) && !q->root[2]))
		*dir += strncmp(q->map, "./", 2) ? 0 : 2;
	else if (!strncmp(q->map, q->root, n) && q->map[n] == '/')
		*dir += n + 1;
	else
		return 0;
	return slash && slash > *dir ? (size_t)(slash - *dir) : 0;
}

static void mark_library(const struct own_request *q, struct own *o)
{
	const char *dir;
	size_t n = map_folder(q, &dir);

	for (uint32_t f = 0; f < o->first_other; f++) {
		for (uint32_t i = 0; i < q->n_library; i++)
			o->is_library[f] |= same_or_below(o->files[f].path, q->library[i],
							  trimmed(q->library[i]));
		if (!q->n_library && n)
			o->is_library[f] = same_or_below(o->files[f].path, dir, n);
	}
}

static void define(struct own *o, uint32_t at, uint32_t file)
{
	if (at == HMAP_NONE || o->symbols[at].defined_in)
		return;
	o->symbols[at].defined_in = o->files[file].path;
	o->is_library[file] = true;
}

/* A file that defines a symbol of the map is linked into the library, whatever its folder. */
static void find_definitions(struct own *o, const struct hmap *names)
{
	for (int others = 0; others < 2; others++)
		for (uint32_t f = 0; f < o->first_other; f++) {
			const struct blob *b = o->files[f].blob;
			const struct blob_def *d = BLOB_ARRAY(b, blob_def, defs);
			enum user u = user_of(o, f);

			if ((u == USER_TEST || u == USER_EXAMPLE) ||
			    (u == USER_LIBRARY) != !others || b->kind != BLOB_C)
				continue;
			for (uint32_t i = 0; i < b->n_defs; i++)
				if (!(d[i].flags & DEF_STATIC))
					define(o, hmap_get(names, d[i].hash), f);
		}
}

/* A definition under another name is given that of the symbol, with a version. */
static void find_versions(struct own *o, const struct hmap *names)
{
	for (uint32_t i = 0; i < VEC_N(&o->versioned, struct declaration); i++) {
		const struct declaration *d = &VEC_AT(&o->versioned, struct declaration, i);
		enum user u = user_of(o, d->file);

		if (u == USER_LIBRARY)
			define(o, hmap_get(names, blob_hash(d->name, strlen(d->name))), d->file);
	}
}

static int add_user(struct own *o, struct own_symbol *s, uint32_t file)
{
	struct vec *v = &s->users[user_of(o, file)];
	uint32_t n = VEC_N(v, uint32_t);

	if (n && VEC_AT(v, uint32_t, n - 1) == file)
		return 0;
	return vec_push(v, &file, sizeof(file));
}

/* A macro or inline function through which a symbol is used. */
struct through {
	uint64_t hash;
	uint32_t file;
};

struct reach {
	const struct own *o;
	uint64_t root;
	struct vec through;
	int err;
};

/* Does this name, in this file, mean the symbol or something that uses it? */
static bool means(const struct reach *r, uint32_t file, uint64_t name)
{
	if (name == r->root)
		return true;
	for (uint32_t i = 0; i < VEC_N(&r->through, struct through); i++) {
		const struct through *t = &VEC_AT(&r->through, struct through, i);

		if (t->hash == name && includes_sees(r->o->includes, file, t->file))
			return true;
	}
	return false;
}

static bool reach_more(struct reach *r)
{
	const struct own *o = r->o;
	uint32_t before = VEC_N(&r->through, struct through);

	for (uint32_t f = 0; !r->err && f < o->n_files; f++) {
		const struct blob *b = o->files[f].blob;
		const struct blob_entity *e = BLOB_ARRAY(b, blob_entity, entities);

		for (uint32_t i = 0; !r->err && i < b->n_entities; i++) {
			struct through t = { e[i].hash, f };
			bool hit = false;

			for (uint32_t k = 0; !hit && k < e[i].n_refs; k++)
				hit = means(r, f, blob_refs(b)[e[i].first_ref + k]);
			if (hit && !means(r, f, e[i].hash))
				r->err = vec_push(&r->through, &t, sizeof(t));
		}
	}
	return VEC_N(&r->through, struct through) != before;
}

/* Has the file a static function or variable of that name? Then it means that one. */
static bool shadows(const struct blob *b, uint64_t name)
{
	const struct blob_def *d = BLOB_ARRAY(b, blob_def, defs);

	for (uint32_t i = 0; i < b->n_defs; i++)
		if (d[i].hash == name && d[i].flags & DEF_STATIC && !(d[i].flags & DEF_CONDITIONAL))
			return true;
	return false;
}

static int find_users(struct own *o, struct own_symbol *s)
{
	struct reach r = { .o = o, .root = blob_hash(s->name, strlen(s->name)) };

	for (int round = 0; round < ROUNDS && !r.err && reach_more(&r); round++)
		;
	for (uint32_t f = 0; !r.err && f < o->n_files; f++) {
		const struct blob *b = o->files[f].blob;

		if (b->kind != BLOB_C || shadows(b, r.root))
			continue;
		for (uint32_t i = 0; !r.err && i < b->n_tu_refs; i++)
			if (means(&r, f, blob_refs(b)[i]))
				r.err = add_user(o, s, f);
	}
	free(r.through.data);
	return r.err;
}

static const char *finding(const struct own_request *q, const struct own *o,
			   const struct own_symbol *s)
{
	if (!s->in_map)
		return "declared in a public header, not in the map";
	if (q->release && !own_in_node(o, s, q->release))
		return NULL;
	if (s->finding)
		return s->finding;
	if (!s->defined_in)
		return "in the map, defined nowhere";
	if (!s->header)
		return "in the map, declared in no public header";
	if (s->users[USER_PROGRAM].n)
		return NULL;
	if (s->users[USER_EXAMPLE].n)
		return s->experimental ? NULL : "stable, but only examples use it";
	if (s->users[USER_TEST].n)
		return "only tests use it";
	return s->users[USER_LIBRARY].n ? "only the library itself uses it" : "nothing uses it";
}

/* Declared names that are functions of the library's sources, or of nobody, but not in the map. */
static int header_only(struct own *o, const struct hmap *names, struct hmap *extra)
{
	uint32_t n = VEC_N(&o->declared, struct declaration);

	for (uint32_t i = 0; i < n; i++) {
		struct declaration *d = &VEC_AT(&o->declared, struct declaration, i);
		uint64_t h = blob_hash(d->name, strlen(d->name));
		uint32_t at = hmap_get(names, h), *slot;

		if (at != HMAP_NONE) {
			o->symbols[at].header = o->files[d->file].path;
			continue;
		}
		slot = hmap_slot(extra, h);
		if (!slot)
			return -ENOMEM;
		if (*slot != HMAP_NONE)
			continue;
		*slot = o->n_symbols;
		if (own_add(o, &(struct own_symbol){ .name = d->name,
						     .node = "",
						     .line = d->line,
						     .header = o->files[d->file].path }))
			return -ENOMEM;
	}
	return 0;
}

static bool is_pending(const struct own *o, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = o->pending; p && (p = strstr(p, name)); p += n)
		if ((p == o->pending || p[-1] == '\n') && (!p[n] || strchr(" \t\r\n", p[n])))
			return true;
	return false;
}

int own_judge(const struct own_request *q, struct own *o)
{
	struct hmap names = { 0 }, extra = { 0 };
	int err = hmap_init(&names, (uint32_t)o->map.n);

	err = err ? err : hmap_init(&extra, 256);
	o->is_library = calloc(o->n_files + 1, sizeof(*o->is_library));
	if (!o->is_library)
		err = -ENOMEM;
	err = err ? err : includes_read(o->files, o->n_files, &o->includes);
	err = err ? err : own_names(q, o, &names);
	if (!err) {
		mark_library(q, o);
		err = own_patterns(q, o, &names);
	}
	if (!err) {
		find_definitions(o, &names);
		find_versions(o, &names);
		err = header_only(o, &names, &extra);
	}
	for (uint32_t i = 0; !err && i < o->n_symbols; i++) {
		err = o->symbols[i].in_map ? find_users(o, &o->symbols[i]) : 0;
		o->symbols[i].finding = finding(q, o, &o->symbols[i]);
		o->symbols[i].pending = is_pending(o, o->symbols[i].name);
		o->n_findings += o->symbols[i].finding && !o->symbols[i].pending;
	}
	hmap_fini(&names);
	hmap_fini(&extra);
	return err;
}

void own_fini(struct own *o)
{
	for (uint32_t f = 0; f < o->n_files; f++) {
		free((char *)o->files[f].path);
		free((struct blob *)o->files[f].blob);
	}
	for (uint32_t i = 0; i < o->n_symbols; i++)
		for (int u = 0; u < USERS; u++)
			free(o->symbols[i].users[u].data);
	for (uint32_t i = 0; i < VEC_N(&o->declared, struct declaration); i++)
		free(VEC_AT(&o->declared, struct declaration, i).name);
	free(o->declared.data);
	for (uint32_t i = 0; i < VEC_N(&o->versioned, struct declaration); i++)
		free(VEC_AT(&o->versioned, struct declaration, i).name);
	free(o->versioned.data);
	free(o->symbols);
	free(o->is_library);
	free(o->pending);
	includes_free(o->includes);
	free(o->files);
	map_fini(&o->map);
}
