// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Finding the sections that cover a path. */
#include "base/grow.h"
#include "maintainers/sections.h"

#include <stdlib.h>
#include <string.h>

struct hit {
	uint32_t section;
	int depth;
	size_t length;
	bool exclude;
};

struct hits {
	struct hit *v;
	size_t n, cap;
};

static void add_hit(struct hits *h, uint32_t section, int depth, size_t length, bool exclude)
{
	for (size_t i = 0; i < h->n; i++) {
		struct hit *o = &h->v[i];

		if (o->section != section)
			continue;
		o->exclude |= exclude;
		if (depth > o->depth || (depth == o->depth && length > o->length)) {
			o->depth = depth;
			o->length = length;
		}
		return;
	}
	if (!grow_room(h->v, h->n, h->cap))
		h->v[h->n++] = (struct hit){ section, depth, length, exclude };
}

static void try_dir(const struct maint *m, const char *path, size_t dirlen, struct hits *h)
{
	for (int32_t i = m->slots[maint_slot(path, dirlen)]; i >= 0; i = m->patterns[i].next) {
		const struct pattern *p = &m->patterns[i];

		if (p->dirlen == dirlen && !memcmp(p->text, path, dirlen) &&
		    pattern_matches(p->text, path))
			add_hit(h, p->section, p->exclude ? -2 : pattern_depth(p->text),
				strlen(p->text), p->exclude);
	}
}

static int cmp_hits(const void *a, const void *b)
{
	const struct hit *x = a, *y = b;

	if (x->depth != y->depth)
		return x->depth > y->depth ? -1 : 1;
	if (x->length != y->length)
		return x->length > y->length ? -1 : 1;
	return x->section < y->section ? -1 : 1;
}

size_t maint_match(const struct maint *m, const char *path, const struct maint_section **hits,
		   size_t max)
{
	struct hits h = { 0 };
	size_t n = 0;

	try_dir(m, path, 0, &h);
	for (const char *p = strchr(path, '/'); p; p = strchr(p + 1, '/'))
		try_dir(m, path, (size_t)(p - path) + 1, &h);
	for (size_t i = 0; i < m->nnames; i++) {
		const struct name_pattern *r = &m->names[i];

		if ((!r->literal[0] || strstr(path, r->literal)) &&
		    !regexec(&r->re, path, 0, NULL, 0))
			add_hit(&h, r->section, 0, 0, false);
	}
	if (h.n)
		qsort(h.v, h.n, sizeof(*h.v), cmp_hits);
	for (size_t i = 0; i < h.n; i++) {
		if (h.v[i].exclude)
			continue;
		if (n < max)
			hits[n] = &m->sections[h.v[i].section];
		n++;
	}
	free(h.v);
	return n;
}

const char *maint_subsystem(const struct maint *m, const char *path)
{
	const struct maint_section *s;

	return maint_match(m, path, &s, 1) ? s->title : "";
}

bool maint_knows(const struct maint *m, const char *text)
{
	for (size_t i = 0; m && i < maint_nsections(m); i++)
		if (strcasestr(maint_section(m, i)->title, text))
			return true;
	return false;
}
