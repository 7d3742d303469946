// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Rules needed and orphaned: exports that the series takes away although a module needs them, and
 * consumers that it takes away although the export stays.
 */
#include "base/complain.h"
#include "base/grow.h"
#include "gate/gate.h"
#include "text/scan.h"
#include "text/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The new tree with the lost exports put back: the resolver tells who would consume them. */
struct again {
	struct gate *g;
	struct blob_scanner *scanner;
	struct source_file *files;
	uint32_t n;
	struct blob **made; /* one file for each lost symbol */
	char **paths;
	size_t n_made;
};

static bool is_lost(const struct gate *g, const struct summary_symbol *s)
{
	return !graph_find(g->head.graph, summary_str(g->base, s->name_str));
}

/* Is there a macro or an inline function of that name? Then the users mean that one. */
static bool is_replaced(const struct gate *g, uint64_t name)
{
	for (uint32_t f = 0; f < g->head.n; f++) {
		const struct blob *b = g->head.facts[f].blob;
		const struct blob_entity *e = BLOB_ARRAY(b, blob_entity, entities);

		for (uint32_t i = 0; b->kind == BLOB_HEADER && i < b->n_entities; i++)
			if (e[i].hash == name)
				return true;
	}
	return false;
}

static char *statement(const char *name, enum variant v)
{
	static const struct {
		const char *prefix, *macro;
	} kinds[VARIANTS] = { [VARIANT_TRACEPOINT] = { "__tracepoint_",
						       "EXPORT_TRACEPOINT_SYMBOL_GPL" },
			      [VARIANT_STATIC_CALL] = { "__SCK__", "EXPORT_STATIC_CALL_GPL" } };
	const char *prefix = kinds[v].prefix;
	bool known = prefix && !strncmp(name, prefix, strlen(prefix));
	char *out;

	return asprintf(&out, "%s(%s);\n", known ? kinds[v].macro : "EXPORT_SYMBOL_GPL",
			known ? name + strlen(prefix) : name) < 0
		       ? NULL
		       : out;
}

/* Adds a file beside the one that had the export; it has only the export. */
static int add_again(struct again *a, const struct summary_symbol *s)
{
	const struct summary *base = a->g->base;
	const char *name = summary_str(base, s->name_str), *path = summary_str(base, s->paths_str);
	char *text = statement(name, (enum variant)s->variant);
	struct source_file *f = &a->files[a->n];
	int err = text ? blob_scan(a->scanner, BLOB_C, text, strlen(text), &a->made[a->n_made])
		       : -ENOMEM;

	free(text);
	if (err)
		return err;
	/* no file has this name */
	if (asprintf(&a->paths[a->n_made], "%s~%s", path, name) < 0) {
		free(a->made[a->n_made]);
		return -ENOMEM;
	}
	*f = (struct source_file){ a->paths[a->n_made], a->made[a->n_made] };
	a->n++;
	a->n_made++;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct source_file *)a)->path, ((const struct source_file *)b)->path);
}

static int collect(struct again *a)
{
	const struct gate *g = a->g;
	int err = blob_scanner_new(&a->scanner);

	a->files = calloc((size_t)g->head.n + g->base->n + 1, sizeof(*a->files));
	a->made = calloc(g->base->n + 1u, sizeof(struct blob *));
	a->paths = calloc(g->base->n + 1u, sizeof(char *));
	if (err || !a->files || !a->made || !a->paths)
		return -ENOMEM;
	memcpy(a->files, g->head.facts, g->head.n * sizeof(*a->files));
	a->n = g->head.n;
	for (uint32_t i = 0; !err && i < g->base->n; i++) {
		const struct summary_symbol *s = &g->base->symbols[i];
		const char *name = summary_str(g->base, s->name_str);

		if (is_lost(g, s) && !is_replaced(g, blob_hash(name, strlen(name))))
			err = add_again(a, s);
	}
	qsort(a->files, a->n, sizeof(*a->files), compare);
	return err;
}

static int report(struct gate *g, const struct summary_symbol *s, const struct graph_symbol *now)
{
	const char *who;

	if (!now || now->modular != VERDICT_CONSUMED)
		return 0;
	who = gate_modular(g, now);
	return who ? gate_find(g, RULE_NEEDED, SEVERITY_ERROR, summary_str(g->base, s->name_str),
			       summary_str(g->base, s->paths_str), 0,
			       "no longer exported, but %s still needs it", who)
		   : 0;
}

/* While it reports, the tree of the gate is the one with the exports put back. */
static int report_all(struct again *a, struct graph *graph)
{
	struct gate *g = a->g;
	struct source_file *facts = g->head.facts;
	uint32_t n = g->head.n;
	int err = 0;

	g->head.facts = a->files;
	g->head.n = a->n;
	for (uint32_t i = 0; !err && i < g->base->n; i++) {
		const struct summary_symbol *s = &g->base->symbols[i];

		if (is_lost(g, s))
			err = report(g, s, graph_find(graph, summary_str(g->base, s->name_str)));
	}
	g->head.facts = facts;
	g->head.n = n;
	return err;
}

static int rule_needed(struct gate *g)
{
	struct again a = { .g = g };
	struct graph *graph = NULL;
	int err = collect(&a);

	if (!err && a.n_made)
		err = graph_resolve(a.files, a.n, g->harvest->threads, &graph);
	if (err)
		complain("out of memory");
	else if (graph)
		err = report_all(&a, graph);
	graph_free(graph);
	blob_scanner_free(a.scanner);
	for (size_t i = 0; i < a.n_made; i++) {
		free(a.made[i]);
		free(a.paths[i]);
	}
	free(a.made);
	free(a.paths);
	free(a.files);
	return err;
}

/* Is the export for some modules only now, and was for all? */
static bool is_closed(const struct graph_symbol *s, const struct summary_symbol *was)
{
	return s->variant == VARIANT_FOR_MODULES && was->variant != VARIANT_FOR_MODULES;
}

/* Does the file that consumed it name it still? */
static bool still_names(const struct gate *g, const struct summary_symbol *was)
{
	const char *path = summary_str(g->base, was->consumer_str);
	const char *name = summary_str(g->base, was->name_str);
	uint64_t hash = blob_hash(name, strlen(name));

	for (uint32_t f = 0; f < g->head.n; f++) {
		const struct blob *b = g->head.facts[f].blob;

		if (strcmp(g->head.facts[f].path, path))
			continue;
		for (uint32_t i = 0; i < b->n_tu_refs; i++)
			if (blob_refs(b)[i] == hash)
				return true;
	}
	return false;
}

static int orphaned(struct gate *g, const struct graph_symbol *s)
{
	const struct summary_symbol *was = summary_find(g->base, s->name);
	const char *file;

	if (!was || was->verdict != VERDICT_CONSUMED || s->verdict != VERDICT_UNCONSUMED ||
	    !s->n_sites)
		return 0;
	file = g->head.facts[s->sites[0].file].path;
	if (is_closed(s, was) && still_names(g, was))
		return g->rules->on[RULE_NEEDED]
			       ? gate_find(g, RULE_NEEDED, SEVERITY_ERROR, s->name, file,
					   s->sites[0].line,
					   "exported for other modules only, but %s still needs it",
					   summary_str(g->base, was->consumer_str))
			       : 0;
	if (!g->rules->on[RULE_ORPHANED])
		return 0;
	return gate_find(g, RULE_ORPHANED, SEVERITY_NOTE, s->name, file, s->sites[0].line,
			 "the series takes its last consumer away: %s",
			 summary_str(g->base, was->consumer_str));
}

int gate_rule_lost(struct gate *g)
{
	bool lost = false;
	int err = 0;

	for (uint32_t i = 0; i < g->base->n && !lost; i++)
		lost = is_lost(g, &g->base->symbols[i]);
	if (lost && g->rules->on[RULE_NEEDED])
		err = rule_needed(g);
	for (uint32_t i = 0; !err && i < g->head.graph->n_symbols; i++)
		err = orphaned(g, &g->head.graph->symbols[i]);
	return err;
}
