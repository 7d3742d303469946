// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Rules gpl and consumer: what a new export owes. */
#include "gate/changes.h"
#include "gate/gate.h"

#include <errno.h>
#include <string.h>

/*
 * The old name of an export that the series renames: PATH loses exactly one export and
 * gains exactly one.  NULL: it is no rename.
 */
static const struct summary_symbol *old_name(const struct gate *g, const struct new_export *e)
{
	const struct changed_file *c = gate_changed(g, e->path);
	const struct summary_symbol *found = NULL;

	for (size_t i = 0; i < g->n_exports; i++)
		if (&g->exports[i] != e && !strcmp(g->exports[i].path, e->path))
			return NULL;
	for (uint32_t i = 0; c && i < g->base->n; i++) {
		const struct summary_symbol *s = &g->base->symbols[i];

		if (!summary_exports_in(g->base, s, c->old_path) ||
		    graph_find(g->head.graph, summary_str(g->base, s->name_str)))
			continue;
		if (found)
			return NULL;
		found = s;
	}
	return found;
}

static int add_finding(struct gate *g, const struct new_export *e, enum rule rule,
		       enum severity severity, const char *before, const char *after)
{
	int err = gate_find(g, rule, severity, e->symbol->name, e->path, e->line, "%s%s", before,
			    after);

	if (!err && e->added_by)
		gate_last(g)->added_by = strdup(e->added_by);
	return err;
}

static int rule_gpl(struct gate *g, const struct new_export *e)
{
	const struct summary_symbol *was = old_name(g, e);

	if (e->symbol->licence != LICENCE_PLAIN)
		return 0;
	if (was && was->licence == LICENCE_PLAIN)
		return add_finding(g, e, RULE_GPL, SEVERITY_NOTE,
				   "not EXPORT_SYMBOL_GPL, as it was under its old name ",
				   summary_str(g->base, was->name_str));
	return add_finding(g, e, RULE_GPL, SEVERITY_ERROR,
			   "a new export has to be EXPORT_SYMBOL_GPL", "");
}

static int unconsumed(struct gate *g, const struct new_export *e)
{
	unsigned int n = g->rules->deadline[RULE_CONSUMER];

	if (!n)
		return add_finding(g, e, RULE_CONSUMER, SEVERITY_ERROR,
				   "a new export without a consumer in the series: ",
				   e->symbol->modular_reason);
	return gate_find(
		g, RULE_CONSUMER, SEVERITY_NOTE, e->symbol->name, e->path, e->line,
		"a new export without a consumer in the series; it is due within %u window%s", n,
		n == 1 ? "" : "s");
}

static int rule_consumer(struct gate *g, const struct new_export *e)
{
	const struct graph_symbol *s = e->symbol;
	const char *module;

	if (s->verdict == VERDICT_UNDECIDED)
		return add_finding(g, e, RULE_CONSUMER, SEVERITY_NOTE,
				   "cannot tell whether it has a consumer: ", s->reason);
	if (s->modular == VERDICT_UNCONSUMED) /* code that is built in needs no export */
		return unconsumed(g, e);
	if (e->consumed_here)
		return 0;
	module = gate_modular(g, s);
	return add_finding(g, e, RULE_CONSUMER, SEVERITY_NOTE,
			   "a new export for what is in the tree already: ",
			   module ? module : s->modular_reason);
}

/* The export is posted for those consumers that the series changes: their maintainers are asked. */
static int ask_maintainers(struct gate *g, struct new_export *e)
{
	const struct graph_symbol *s = e->symbol;
	int err = 0;

	for (uint32_t i = 0; !err && i < s->n_consumers; i++) {
		const char *path = g->head.facts[s->consumers[i]].path;

		if (!gate_changed(g, path))
			continue;
		e->consumed_here = true;
		err = gate_rule_ack(g, s->name, e->path, e->line, path);
	}
	return err;
}

/* An old export may become plain: that is a note and no error. */
static int relicensed(struct gate *g, const struct graph_symbol *s)
{
	const struct summary_symbol *was = summary_find(g->base, s->name);

	if (!was || !s->n_sites || was->licence != LICENCE_GPL || s->licence != LICENCE_PLAIN)
		return 0;
	return gate_find(g, RULE_GPL, SEVERITY_NOTE, s->name, g->head.facts[s->sites[0].file].path,
			 s->sites[0].line, "was EXPORT_SYMBOL_GPL and is now plain");
}

int gate_rule_exports(struct gate *g)
{
	int err = 0;

	for (size_t i = 0; !err && i < g->n_exports; i++) {
		struct new_export *e = &g->exports[i];

		err = ask_maintainers(g, e);
		if (!err && g->rules->on[RULE_GPL])
			err = rule_gpl(g, e);
		if (!err && g->rules->on[RULE_CONSUMER])
			err = rule_consumer(g, e);
	}
	for (uint32_t i = 0; !err && g->rules->on[RULE_GPL] && i < g->head.graph->n_symbols; i++)
		err = relicensed(g, &g->head.graph->symbols[i]);
	return err;
}
