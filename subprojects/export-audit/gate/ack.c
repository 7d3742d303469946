// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Rules ack and nack: the maintainer of the consumer has a say. */
#include "gate/gate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* People write from several addresses. The full name tells that they are one person. */
static bool same_person(const struct maint_person *p, const char *name, const char *address)
{
	if (*p->mail && !strcasecmp(p->mail, address))
		return true;
	return *p->name && strchr(p->name, ' ') && !strcasecmp(p->name, name);
}

static bool is_maintainer(const struct maint_section *s, const char *name, const char *address)
{
	for (size_t i = 0; i < s->nmaintainers; i++)
		if (same_person(&s->people[i], name, address))
			return true;
	return false;
}

static bool agrees(const char *kind)
{
	return !strcmp(kind, "acked-by") || !strcmp(kind, "reviewed-by") ||
	       !strcmp(kind, "signed-off-by");
}

static bool has_agreed(const struct gate *g, const struct maint_section *s)
{
	for (size_t i = 0; i < g->series->n_trailers; i++) {
		const struct trailer *t = &g->series->trailers[i];

		if (agrees(t->kind) && is_maintainer(s, t->name, t->address))
			return true;
	}
	return false;
}

static const struct trailer *nack_of(const struct gate *g, const struct maint_section *s)
{
	for (size_t i = 0; i < g->series->n_trailers; i++) {
		const struct trailer *t = &g->series->trailers[i];

		if (!strcmp(t->kind, "nacked-by") && is_maintainer(s, t->name, t->address))
			return t;
	}
	return NULL;
}

/* Was this symbol reported for this section before? One finding is enough. */
static bool said(const struct gate *g, enum rule rule, const char *symbol, const char *title)
{
	for (size_t i = 0; i < g->n_findings; i++) {
		const struct finding *f = &g->findings[i];

		if (f->rule == rule && !strcmp(f->symbol, symbol) && strstr(f->text, title))
			return true;
	}
	return false;
}

/* The section that covers a file; NULL if only the catch-all does. */
static const struct maint_section *section_of(const struct gate *g, const char *path)
{
	const struct maint_section *hits[1];

	if (!g->maint || !maint_match(g->maint, path, hits, 1) ||
	    !strcmp(hits[0]->title, "THE REST"))
		return NULL;
	return hits[0];
}

static int nobody(struct gate *g, const char *symbol, const char *file, uint32_t line,
		  const char *consumer)
{
	if (said(g, RULE_ACK, symbol, consumer))
		return 0;
	return gate_find(g, RULE_ACK, SEVERITY_NOTE, symbol, file, line,
			 "nobody maintains its consumer %s, so nobody has to agree", consumer);
}

static int missing(struct gate *g, const struct maint_section *s, const char *symbol,
		   const char *file, uint32_t line, const char *consumer)
{
	char *who = NULL;
	size_t len;
	FILE *f = open_memstream(&who, &len);
	int err;

	for (size_t i = 0; f && i < s->nmaintainers; i++)
		fprintf(f, "%s%s <%s>", i ? ", " : "", s->people[i].name, s->people[i].mail);
	if (f)
		fclose(f);
	err = gate_find(
		g, RULE_ACK, SEVERITY_ERROR, symbol, file, line,
		"no maintainer of %s, whose %s consumes it, has acked, reviewed or signed off: %s",
		s->title, consumer, who ? who : "");
	free(who);
	return err;
}

int gate_rule_ack(struct gate *g, const char *symbol, const char *file, uint32_t line,
		  const char *consumer)
{
	const struct maint_section *s = section_of(g, consumer);
	const struct trailer *nack = s ? nack_of(g, s) : NULL;
	int err = 0;

	if (nack && g->rules->on[RULE_NACK] && !said(g, RULE_NACK, symbol, s->title))
		err = gate_find(g, RULE_NACK, SEVERITY_ERROR, symbol, file, line,
				"%s, who maintains %s, whose %s consumes it, has nacked the series",
				nack->name, s->title, consumer);
	if (err || !g->rules->on[RULE_ACK])
		return err;
	if (!s || !s->nmaintainers)
		return nobody(g, symbol, file, line, consumer);
	if (nack || has_agreed(g, s) || said(g, RULE_ACK, symbol, s->title))
		return 0;
	return missing(g, s, symbol, file, line, consumer);
}

int gate_ask(struct gate *g, const char *symbol, const char *file, const char *offerer,
	     const char *consumer)
{
	if (!strcmp(gate_subsystem(g, offerer), gate_subsystem(g, consumer)))
		return 0;
	return gate_rule_ack(g, symbol, file, 0, consumer);
}
