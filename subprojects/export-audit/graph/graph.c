// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The resolver's life: build the indices, run the passes, hand out the result. */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "graph/resolve.h"
#include "base/vec.h"
#include "text/source.h"

bool dead_ref(const struct resolver *r, uint32_t file, uint64_t ref)
{
	const struct blob *b = r->files[file].blob;
	const struct blob_guarded *g = BLOB_ARRAY(b, blob_guarded, guarded);
	uint32_t lo = 0, hi = b->n_guarded;

	if (!r->dead[file])
		return false;
	while (lo < hi) { /* the first of this reference */
		uint32_t mid = lo + (hi - lo) / 2;

		if (g[mid].ref < ref)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == b->n_guarded || g[lo].ref != ref)
		return false;
	for (; lo < b->n_guarded && g[lo].ref == ref; lo++)
		if (!r->dead[file][g[lo].guard])
			return false;
	return true;
}

bool dead_entity(const struct resolver *r, uint32_t file, const struct blob_entity *e)
{
	return r->dead[file] && r->dead[file][e->guard];
}

/* Guards of all files, against the options that the tree has. */
static int find_dead(struct resolver *r)
{
	uint8_t *dead = malloc(UINT16_MAX + 2);
	int err = 0;

	r->dead = calloc(r->n_files + 1, sizeof(*r->dead));
	if (!dead || !r->dead)
		err = -ENOMEM;
	for (uint32_t f = 0; !err && f < r->n_files; f++) {
		const struct blob *b = r->files[f].blob;

		if (!b->n_guards || path_is_added(r->files[f].path))
			continue;
		kconfig_guards(r->kconfig, b, dead);
		if (!memchr(dead, 1, b->n_guards + 1))
			continue;
		r->dead[f] = malloc(b->n_guards + 1);
		if (r->dead[f])
			memcpy(r->dead[f], dead, b->n_guards + 1);
		else
			err = -ENOMEM;
	}
	free(dead);
	return err;
}

static void add_referrer(struct resolver *r, const struct blob *b, const struct blob_entity *m,
			 uint32_t e, uint32_t room)
{
	uint32_t at = r->n_referrer_refs;

	if (!m->n_refs || m->n_refs > room - at)
		return;
	r->referrers[r->n_referrers++] = (struct referrer){ .hash = m->hash,
							    .entity = e,
							    .first = at,
							    .n = m->n_refs,
							    .flags = m->flags,
							    .macro = m->kind == ENTITY_MACRO };
	memcpy(r->referrer_refs + at, blob_refs(b) + m->first_ref, m->n_refs * 8ull);
	r->n_referrer_refs += m->n_refs;
}

static int number_file(struct resolver *r, uint32_t f, uint32_t room)
{
	const struct blob *b = r->files[f].blob;
	const struct blob_entity *m = BLOB_ARRAY(b, blob_entity, entities);

	for (uint32_t i = 0; i < b->n_entities; i++) {
		uint32_t e = r->entity_base[f] + i, *slot = hmap_slot(&r->entities, m[i].hash);

		if (!slot)
			return -ENOMEM;
		r->entity_file[e] = f;
		r->entity_next[e] = *slot;
		*slot = e;
		if (!dead_entity(r, f, &m[i]))
			add_referrer(r, b, &m[i], e, room);
		if (m[i].flags & MACRO_PASTES && m[i].body_str &&
		    vec_push(&r->pasters, &e, sizeof(e)))
			return -ENOMEM;
		if (m[i].flags & MACRO_EXPORTS && m[i].body_str &&
		    vec_push(&r->exporters, &e, sizeof(e)))
			return -ENOMEM;
	}
	return 0;
}

static int number_entities(struct resolver *r)
{
	uint64_t n = 0, refs = 0;
	int err = 0;

	r->entity_base = calloc(r->n_files + 1, sizeof(*r->entity_base));
	if (!r->entity_base)
		return -ENOMEM;
	for (uint32_t f = 0; f < r->n_files; f++) {
		const struct blob *b = r->files[f].blob;

		r->entity_base[f] = (uint32_t)n;
		n += b->n_entities;
		refs += b->n_refs; /* its own among them: room enough */
		refs -= b->n_tu_refs;
	}
	if (n >= UINT32_MAX || refs >= UINT32_MAX)
		return -ENOMEM;
	r->entity_base[r->n_files] = r->n_entities = (uint32_t)n;
	r->entity_file = malloc((n + 1) * sizeof(*r->entity_file));
	r->entity_next = malloc((n + 1) * sizeof(*r->entity_next));
	r->referrers = malloc((n + 1) * sizeof(*r->referrers));
	r->referrer_refs = malloc((refs + 1) * sizeof(*r->referrer_refs));
	if (!r->entity_file || !r->entity_next || !r->referrers || !r->referrer_refs ||
	    hmap_init(&r->entities, (uint32_t)n / 2))
		return -ENOMEM;
	for (uint32_t f = 0; !err && f < r->n_files; f++)
		err = number_file(r, f, (uint32_t)refs);
	return err;
}

bool entity_visible(const struct resolver *r, uint32_t file, uint32_t e)
{
	uint32_t home = r->entity_file[e], other;

	if (home == file || includes_sees(r->includes, file, home))
		return true;
	/* a .c sees what those see that include it */
	for (uint32_t i = r->includes->rfirst[file]; i < r->includes->rfirst[file + 1]; i++) {
		uint32_t by = r->includes->rsources[i];

		if (r->files[by].blob->kind == BLOB_C && r->files[file].blob->kind == BLOB_C &&
		    (by == home || includes_sees(r->includes, by, home)))
			return true;
	}
	other = hmap_get(&r->entities, entity(r, e)->hash);
	for (; other != HMAP_NONE; other = r->entity_next[other])
		if (r->entity_file[other] != home)
			return false;
	return true;
}

/* A .c or .S that another includes is part of what the other is part of. */
static int join_included(struct resolver *r)
{
	int err = 0;

	for (int round = 0; round < 3; round++)
		for (uint32_t f = 0; !err && f < r->n_files; f++)
			for (uint32_t e = r->includes->first[f];
			     !err && e < r->includes->first[f + 1]; e++) {
				uint32_t to = r->includes->targets[e];

				enum blob_kind kind = r->files[to].blob->kind;

				if (kind == BLOB_C)
					err = kbuild_join(r->kbuild, to, f);
				if (kind == BLOB_C || kind == BLOB_ASM)
					built_join(r->built, to, f);
			}
	return err;
}

static void mark_tus(struct resolver *r)
{
	for (uint32_t f = 0; f < r->n_files; f++) {
		const struct blob *b = r->files[f].blob;

		r->is_tu[f] = b->kind == BLOB_C || b->kind == BLOB_ASM || b->kind == BLOB_RUST;
		/* most of it are programs; the modules among them say so */
		if (!strncmp(r->files[f].path, "tools/testing/selftests/", 24) &&
		    !(b->flags & BLOB_IS_MODULE))
			r->is_tu[f] = 0;
	}
}

static void resolver_free(struct resolver *r)
{
	for (uint32_t i = 0; i < r->n_symbols; i++) {
		struct symbol *s = &r->symbols[i];

		free(s->name);
		free(s->ns);
		free(s->reason);
		free(s->modular_reason);
		free(s->stem);
		free(s->sites.data);
		free(s->ties.data);
		free(s->direct.data);
		free(s->indirect.data);
		free(s->pasted.data);
		free(s->names.data);
		free(s->reached.data);
	}
	free(r->symbols);
	hmap_fini(&r->by_name);
	hmap_fini(&r->entities);
	free(r->entity_base);
	free(r->entity_file);
	free(r->entity_next);
	free(r->cuts.data);
	free(r->pasters.data);
	free(r->exporters.data);
	free(r->referrers);
	free(r->referrer_refs);
	free(r->is_tu);
	kbuild_free(r->kbuild);
	built_free(r->built);
	kconfig_free(r->kconfig);
	for (uint32_t f = 0; r->dead && f < r->n_files; f++)
		free(r->dead[f]);
	free(r->dead);
	includes_free(r->includes);
	free(r);
}

static int by_symbol_name(const void *a, const void *b)
{
	return strcmp(((const struct graph_symbol *)a)->name,
		      ((const struct graph_symbol *)b)->name);
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int by_site(const void *a, const void *b)
{
	const struct graph_site *x = a, *y = b;

	return x->file != y->file ? (x->file < y->file ? -1 : 1)
				  : (x->line < y->line ? -1 : x->line > y->line);
}

static uint32_t unique(uint32_t *a, uint32_t n)
{
	uint32_t kept = 0;

	if (n)
		qsort(a, n, sizeof(*a), by_number);
	for (uint32_t i = 0; i < n; i++)
		if (!kept || a[kept - 1] != a[i])
			a[kept++] = a[i];
	return kept;
}

/* The definers are the head of the symbol's own array of ties, rewritten as file numbers. */
static void publish_symbol(struct symbol *s, struct graph_symbol *g)
{
	struct vec *from = s->direct.n ? &s->direct : &s->indirect;
	uint32_t n = VEC_N(&s->ties, struct tie), *definers = (void *)s->ties.data, k = 0;

	*g = (struct graph_symbol){ .name = s->name,
				    .ns = s->ns,
				    .licence = s->licence,
				    .variant = s->variant,
				    .verdict = s->verdict,
				    .reason = s->reason,
				    .modular = s->modular_verdict,
				    .modular_reason = s->modular_reason };
	g->sites = (void *)s->sites.data;
	g->n_sites = VEC_N(&s->sites, struct graph_site);
	qsort(g->sites, g->n_sites, sizeof(*g->sites), by_site);
	for (uint32_t i = 0; i < n; i++) {
		struct tie t = VEC_AT(&s->ties, struct tie, i);

		if (t.bond == BOND_DEFINES)
			definers[k++] = t.file;
	}
	g->definers = definers;
	g->n_definers = unique(definers, k);
	g->consumers = (void *)from->data;
	g->n_consumers = unique(g->consumers, VEC_N(from, uint32_t));
}

static int publish(struct resolver *r, struct graph **out)
{
	struct graph *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->symbols = calloc(r->n_symbols + 1, sizeof(*g->symbols));
	if (!g->symbols) {
		free(g);
		return -ENOMEM;
	}
	g->n_symbols = r->n_symbols;
	g->n_statements = r->n_statements;
	g->cuts = (void *)r->cuts.data;
	g->n_cuts = VEC_N(&r->cuts, struct graph_site);
	g->priv = r;
	for (uint32_t i = 0; i < r->n_symbols; i++)
		publish_symbol(&r->symbols[i], &g->symbols[i]);
	qsort(g->symbols, g->n_symbols, sizeof(*g->symbols), by_symbol_name);
	*out = g;
	return 0;
}

static void *read_includes(void *arg)
{
	struct resolver *r = arg;

	return (void *)(intptr_t)includes_read(r->files, r->n_files, &r->includes);
}

/* What depends on the files alone; the includes take as long as the rest together. */
static int read_structure(struct resolver *r, unsigned int threads)
{
	pthread_t thread;
	void *result = NULL;
	bool apart = threads > 1 && !pthread_create(&thread, NULL, read_includes, r);
	int err = kconfig_read(r->files, r->n_files, &r->kconfig);

	err = err ? err : find_dead(r);
	err = err ? err : number_entities(r);
	err = err ? err : built_new(r->files, r->n_files, &r->built);
	err = err ? err : kbuild_read(r->files, r->n_files, r->kconfig, r->built, &r->kbuild);
	err = err ? err : built_finish(r->built);
	if (apart)
		pthread_join(thread, &result);
	else
		result = read_includes(r);
	return err ? err : (int)(intptr_t)result;
}

int graph_resolve(const struct source_file *files, uint32_t n_files, unsigned int threads,
		  struct graph **out)
{
	struct resolver *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->files = files;
	r->n_files = n_files;
	r->is_tu = calloc(n_files + 1, 1);
	err = r->is_tu ? hmap_init(&r->by_name, n_files) : -ENOMEM;
	err = err ? err : read_structure(r, threads);
	err = err ? err : join_included(r);
	if (!err)
		mark_tus(r);
	err = err ? err : collect(r);
	err = err ? err : consume_direct(r);
	err = err ? err : consume_indirect(r, false);
	err = err ? err : consume_pasted(r);
	err = err ? err : judge(r);
	err = err ? err : publish(r, out);
	if (err)
		resolver_free(r);
	return err;
}

void graph_free(struct graph *g)
{
	if (!g)
		return;
	resolver_free(g->priv);
	free(g->symbols);
	free(g);
}

void graph_modular(struct graph *g)
{
	for (uint32_t i = 0; i < g->n_symbols; i++) {
		struct graph_symbol *s = &g->symbols[i];

		if (s->modular != VERDICT_CONSUMED)
			s->n_consumers = 0;
		s->verdict = s->modular;
		s->reason = s->modular_reason;
	}
}

const struct graph_symbol *graph_find(const struct graph *g, const char *name)
{
	struct graph_symbol key = { .name = name };

	return g->n_symbols ? bsearch(&key, g->symbols, g->n_symbols, sizeof(key), by_symbol_name)
			    : NULL;
}

const char *verdict_name(enum verdict v)
{
	static const char *const names[] = { "consumed", "unconsumed", "undecided" };

	return names[v];
}
