// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The resolver: builds its indices, runs its passes, hands out the result. */
#include "base/vec.h"
#include "graph/collect.h"
#include "graph/direct.h"
#include "graph/entities.h"
#include "graph/indirect.h"
#include "graph/paste.h"
#include "graph/resolve.h"
#include "graph/verdict.h"
#include "text/source.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A .c or .S that another file includes is linked wherever that file is. */
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
		/* most of these are programs; modules have a MODULE_LICENSE */
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

/* The numbers of the definers overwrite the head of the symbol's array of ties. */
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

/*
 * Reads what depends on the files alone. Includes take as long as the rest, so they have a thread.
 */
static int read_structure(struct resolver *r, unsigned int threads)
{
	pthread_t thread;
	void *result = NULL;
	bool apart = threads > 1 && !pthread_create(&thread, NULL, read_includes, r);
	int err = kconfig_read(r->files, r->n_files, &r->kconfig);

	err = err ? err : entities_find_dead(r);
	err = err ? err : entities_number(r);
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
