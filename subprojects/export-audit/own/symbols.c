// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Makes symbols of the names, patterns and versions that the map lists. */
#include "base/grow.h"
#include "base/vec.h"
#include "own/own.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

int own_add(struct own *o, const struct own_symbol *s)
{
	if (grow_room(o->symbols, o->n_symbols, o->cap_symbols))
		return -ENOMEM;
	o->symbols[o->n_symbols++] = *s;
	return 0;
}

static bool is_experimental(const struct own_request *q, const char *node)
{
	return q->experimental && strstr(node, q->experimental);
}

static int add_name(const struct own_request *q, struct own *o, struct hmap *names,
		    const char *name, const struct map_symbol *m)
{
	struct own_symbol s = { .name = name,
				.node = m->node,
				.line = m->line,
				.in_map = true,
				.experimental = is_experimental(q, m->node) };
	uint32_t *slot = hmap_slot(names, blob_hash(name, strlen(name)));

	if (!slot)
		return -ENOMEM;
	if (*slot == HMAP_NONE) {
		*slot = o->n_symbols;
		return own_add(o, &s);
	}
	/* another version of it: the newest counts, and is stable if any version is */
	o->symbols[*slot].node = m->node;
	o->symbols[*slot].line = m->line;
	o->symbols[*slot].experimental &= s.experimental;
	return 0;
}

int own_names(const struct own_request *q, struct own *o, struct hmap *names)
{
	int err = 0;

	for (size_t i = 0; !err && i < o->map.n; i++) {
		const struct map_symbol *m = &o->map.symbols[i];

		if (m->kind == MAP_NAME && !m->local)
			err = add_name(q, o, names, m->name, m);
		o->n_unjudged += m->kind == MAP_CXX && !m->local;
	}
	return err;
}

static bool is_local(const struct map *map, const char *name)
{
	for (size_t i = 0; i < map->n; i++)
		if (map->symbols[i].local && map->symbols[i].kind != MAP_CXX &&
		    !fnmatch(map->symbols[i].name, name, 0))
			return true;
	return false;
}

/* Adds the definitions of the library that match a pattern of the map. */
static int match_file(const struct own_request *q, struct own *o, struct hmap *names, uint32_t file,
		      const struct map_symbol *m, bool *any)
{
	const struct blob *b = o->files[file].blob;
	const struct blob_def *d = BLOB_ARRAY(b, blob_def, defs);
	int err = 0;

	for (uint32_t i = 0; !err && i < b->n_defs; i++) {
		const char *name = blob_str(b, d[i].name_str);

		if (d[i].flags & DEF_STATIC || !*name || fnmatch(m->name, name, 0))
			continue;
		*any = true;
		if (hmap_get(names, d[i].hash) == HMAP_NONE && !is_local(&o->map, name))
			err = add_name(q, o, names, name, m);
	}
	return err;
}

int own_patterns(const struct own_request *q, struct own *o, struct hmap *names)
{
	int err = 0;

	for (size_t i = 0; !err && i < o->map.n; i++) {
		const struct map_symbol *m = &o->map.symbols[i];
		struct own_symbol none = { .name = m->name,
					   .node = m->node,
					   .line = m->line,
					   .in_map = true,
					   .finding = "matches nothing that the library defines" };
		bool any = false;

		if (m->kind != MAP_PATTERN || m->local)
			continue;
		for (uint32_t f = 0; !err && f < o->n_files; f++)
			if (o->files[f].blob->kind == BLOB_C && o->is_library[f])
				err = match_file(q, o, names, f, m, &any);
		if (!err && !any)
			err = own_add(o, &none);
	}
	return err;
}

bool own_in_node(const struct own *o, const struct own_symbol *s, const char *node)
{
	if (!strcmp(s->node, node))
		return true;
	for (size_t i = 0; i < o->map.n; i++)
		if (!o->map.symbols[i].local && !strcmp(o->map.symbols[i].name, s->name) &&
		    !strcmp(o->map.symbols[i].node, node))
			return true;
	return false;
}

static bool word_char(char c)
{
	return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z');
}

/* All words of S..END may be names that are given a version there. */
static int push_words(const char *s, const char *end, uint32_t file, struct vec *out)
{
	int err = 0;

	while (!err && s < end) {
		struct declaration d = { .file = file };
		const char *from = s;

		while (s < end && word_char(*s))
			s++;
		if (s > from && !(*from >= '0' && *from <= '9')) {
			d.name = strndup(from, (size_t)(s - from));
			err = d.name ? vec_push(out, &d, sizeof(d)) : -ENOMEM;
			if (err)
				free(d.name);
		}
		s += s == from;
	}
	return err;
}

int own_versioned(const char *text, size_t len, uint32_t file, struct vec *out)
{
	const char *end = text + len;
	int err = 0;

	for (const char *p = text; !err && p < end;) {
		const char *big = memmem(p, (size_t)(end - p), "SYMVER", 6);
		const char *small = memmem(p, (size_t)(end - p), "symver", 6);
		const char *at = !big || (small && small < big) ? small : big, *stop;

		if (!at)
			break;
		for (p = at + 6; p < end && word_char(*p);)
			p++;
		/* a call, or the rest of a line of assembly */
		stop = memchr(p, p < end && *p == '(' ? ')' : '\n', (size_t)(end - p));
		if (!stop)
			stop = end;
		if (stop - p < 1024)
			err = push_words(p, stop, file, out);
		p = stop;
	}
	return err;
}
