// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "graph/summary.h"
#include "text/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SUMMARY_MAGIC 0x73756d31u

struct writer {
	struct summary *s;
	size_t cap;
};

static int room(struct writer *w, size_t extra)
{
	size_t need = w->s->size + extra;
	struct summary *p;

	if (need <= w->cap)
		return 0;
	if (need > UINT32_MAX / 2)
		return -ENOMEM;
	p = realloc(w->s, need * 2);
	if (!p)
		return -ENOMEM;
	w->s = p;
	w->cap = need * 2;
	return 0;
}

/* Offset of a copy of S; 0, which is the empty string, for "" and without memory. */
static uint32_t put(struct writer *w, const char *s)
{
	size_t len = strlen(s) + 1;
	uint32_t at = w->s->size;

	if (len == 1 || room(w, len))
		return 0;
	memcpy((char *)w->s + at, s, len);
	w->s->size += (uint32_t)len;
	return at;
}

static void put_paths(struct writer *w, struct summary_symbol *o, const struct graph_symbol *g,
		      const struct source_file *files)
{
	for (uint32_t i = 0; i < g->n_sites; i++) {
		bool again = false;
		uint32_t at;

		for (uint32_t j = 0; j < i && !again; j++)
			again = g->sites[j].file == g->sites[i].file;
		if (again)
			continue;
		at = put(w, files[g->sites[i].file].path);
		if (!o->n_paths++)
			o->paths_str = at;
	}
	o->line = g->n_sites ? g->sites[0].line : 0;
}

static void put_symbol(struct writer *w, uint32_t i, const struct graph_symbol *g,
		       const struct source_file *files)
{
	struct summary_symbol o = { .licence = (uint8_t)g->licence,
				    .variant = (uint8_t)g->variant,
				    .verdict = (uint8_t)g->verdict,
				    .n_consumers = g->n_consumers };

	o.name_str = put(w, g->name);
	o.ns_str = put(w, g->ns);
	o.reason_str = put(w, g->reason);
	if (g->n_consumers)
		o.consumer_str = put(w, files[g->consumers[0]].path);
	put_paths(w, &o, g, files);
	w->s->symbols[i] = o;
}

int summary_new(const struct graph *g, const struct source_file *files, struct summary **out)
{
	size_t fixed = sizeof(struct summary) + g->n_symbols * sizeof(struct summary_symbol);
	struct writer w = { .cap = fixed + 64 };

	w.s = calloc(1, w.cap);
	if (!w.s)
		return -ENOMEM;
	*w.s = (struct summary){ .magic = SUMMARY_MAGIC,
				 .size = (uint32_t)fixed,
				 .n = g->n_symbols };
	for (uint32_t i = 0; i < g->n_symbols; i++)
		put_symbol(&w, i, &g->symbols[i], files);
	if (room(&w, 8)) {
		free(w.s);
		return -ENOMEM;
	}
	memset((char *)w.s + w.s->size, 0, 8);
	w.s->size = (w.s->size + 8) & ~7u;    /* the last byte is 0: every string ends */
	if (!summary_valid(w.s, w.s->size)) { /* a put() had no memory */
		free(w.s);
		return -ENOMEM;
	}
	*out = w.s;
	return 0;
}

static bool paths_valid(const struct summary *s, const struct summary_symbol *o)
{
	const char *p = summary_str(s, o->paths_str), *end = (const char *)s + s->size;

	for (uint32_t i = 0; i < o->n_paths; i++) {
		if (p >= end || !*p)
			return false;
		p += strlen(p) + 1;
	}
	return true;
}

bool summary_valid(const void *block, size_t size)
{
	const struct summary *s = block;

	if (size < sizeof(*s) || s->magic != SUMMARY_MAGIC || s->size != size ||
	    s->n > (size - sizeof(*s)) / sizeof(*s->symbols) || ((const char *)block)[size - 1])
		return false;
	for (uint32_t i = 0; i < s->n; i++) {
		const struct summary_symbol *o = &s->symbols[i];

		if (!o->name_str || o->name_str >= size || o->ns_str >= size ||
		    o->reason_str >= size || o->consumer_str >= size || o->paths_str >= size ||
		    o->licence >= LICENCES || o->variant >= VARIANTS || o->verdict >= VERDICTS ||
		    !paths_valid(s, o))
			return false;
		if (i && strcmp(summary_str(s, o[-1].name_str), summary_str(s, o->name_str)) >= 0)
			return false;
	}
	return true;
}

const struct summary_symbol *summary_find(const struct summary *s, const char *name)
{
	uint32_t lo = 0, hi = s->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = strcmp(name, summary_str(s, s->symbols[mid].name_str));

		if (!c)
			return &s->symbols[mid];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

bool summary_exports_in(const struct summary *s, const struct summary_symbol *sym, const char *path)
{
	const char *p = summary_str(s, sym->paths_str);

	for (uint32_t i = 0; i < sym->n_paths; i++, p += strlen(p) + 1)
		if (!strcmp(p, path))
			return true;
	return false;
}
