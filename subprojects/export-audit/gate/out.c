// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The verdict for people and for programs. */
#include "gate/out.h"
#include "base/complain.h"
#include "text/export.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

static const char *severity_name(enum severity s)
{
	return s == SEVERITY_ERROR ? "error" : "note";
}

static void print_finding(const struct finding *f)
{
	printf("%s: %s: ", f->known ? "known" : severity_name(f->severity), rule_name(f->rule));
	if (*f->symbol)
		printf("%s", f->symbol);
	if (*f->file && f->line)
		printf(" (%s:%u)", f->file, f->line);
	else if (*f->file)
		printf(" (%s)", f->file);
	printf("%s%s\n", *f->symbol ? ": " : "", f->text);
	if (f->added_by)
		printf("    added by %s\n", f->added_by);
	if (f->revert)
		printf("    revert %s\n", f->revert);
}

int gate_results(const struct gate *g, struct results *out)
{
	int err = 0;

	*out = (struct results){ 0 };
	for (size_t i = 0; !err && i < g->n_findings; i++) {
		const struct finding *f = &g->findings[i];

		err = results_add(out, rule_name(f->rule), f->severity == SEVERITY_ERROR, f->symbol,
				  f->file, f->line, f->text);
	}
	if (err)
		complain("out of memory");
	return err;
}

void gate_know(struct gate *g, const struct results *r)
{
	for (size_t i = 0; i < g->n_findings; i++)
		g->findings[i].known = r->v[i].known && r->v[i].error;
	g->errors = results_news(r);
}

static size_t count(const struct gate *g, bool known)
{
	size_t n = 0;

	for (size_t i = 0; i < g->n_findings; i++)
		n += known ? g->findings[i].known : g->findings[i].severity == SEVERITY_NOTE;
	return n;
}

/* Errors first. */
void gate_print_text(const struct gate *g)
{
	for (int s = SEVERITY_ERROR; s >= SEVERITY_NOTE; s--)
		for (size_t i = 0; i < g->n_findings; i++)
			if ((int)g->findings[i].severity == s)
				print_finding(&g->findings[i]);
	printf("%s: %zu patch%s, %zu new export%s, %zu error%s, ", g->errors ? "FAIL" : "PASS",
	       g->series->n, g->series->n == 1 ? "" : "es", g->n_exports,
	       g->n_exports == 1 ? "" : "s", g->errors, g->errors == 1 ? "" : "s");
	if (count(g, true))
		printf("%zu known, ", count(g, true));
	printf("%zu note%s (profile %s)\n", count(g, false), count(g, false) == 1 ? "" : "s",
	       g->rules->profile);
}

static void add(struct json_object *o, const char *key, struct json_object *value)
{
	json_object_object_add(o, key, value);
}

static struct json_object *text(const char *s)
{
	return s ? json_object_new_string(s) : NULL;
}

static struct json_object *json_rules(const struct rules *r)
{
	struct json_object *o = json_object_new_object();

	for (int i = 0; i < RULES; i++)
		add(o, rule_name((enum rule)i),
		    !r->on[i] || !rule_has_deadline((enum rule)i)
			    ? json_object_new_boolean(r->on[i])
			    : json_object_new_int64(r->deadline[i]));
	return o;
}

static struct json_object *json_export(const struct gate *g, const struct new_export *e)
{
	struct json_object *o = json_object_new_object(), *c = json_object_new_array();
	const struct graph_symbol *s = e->symbol;

	for (uint32_t i = 0; i < s->n_consumers; i++)
		json_object_array_add(c, text(g->head.facts[s->consumers[i]].path));
	add(o, "name", text(s->name));
	add(o, "file", text(e->path));
	add(o, "line", json_object_new_int64(e->line));
	add(o, "licence", text(licence_name(s->licence)));
	add(o, "subsystem", text(e->subsystem));
	add(o, "verdict", text(verdict_name(s->verdict)));
	add(o, "reason", text(s->reason));
	add(o, "consumers", c);
	add(o, "added_by", text(e->added_by));
	return o;
}

static struct json_object *json_finding(const struct finding *f)
{
	struct json_object *o = json_object_new_object();

	add(o, "rule", text(rule_name(f->rule)));
	add(o, "severity", text(severity_name(f->severity)));
	add(o, "symbol", text(*f->symbol ? f->symbol : NULL));
	add(o, "file", text(*f->file ? f->file : NULL));
	add(o, "line", json_object_new_int64(f->line));
	add(o, "text", text(f->text));
	add(o, "added_by", text(f->added_by));
	add(o, "revert", text(f->revert));
	add(o, "known", json_object_new_boolean(f->known));
	return o;
}

static struct json_object *json_patches(const struct series *s)
{
	struct json_object *a = json_object_new_array();

	for (size_t i = 0; i < s->n; i++) {
		struct json_object *o = json_object_new_object();

		add(o, "id", text(s->v[i].id));
		add(o, "subject", text(s->v[i].subject));
		json_object_array_add(a, o);
	}
	return a;
}

int gate_print_json(const struct gate *g)
{
	struct json_object *o = json_object_new_object(), *e = json_object_new_array(),
			   *f = json_object_new_array();
	char base[GIT_OID_HEXSZ + 1], tree[GIT_OID_HEXSZ + 1];
	const char *s;

	for (size_t i = 0; i < g->n_exports; i++)
		json_object_array_add(e, json_export(g, &g->exports[i]));
	for (size_t i = 0; i < g->n_findings; i++)
		json_object_array_add(f, json_finding(&g->findings[i]));
	git_oid_tostr(base, sizeof(base), &g->series->base);
	git_oid_tostr(tree, sizeof(tree), &g->series->after);
	add(o, "verdict", text(g->errors ? "fail" : "pass"));
	add(o, "profile", text(g->rules->profile));
	add(o, "rules", json_rules(g->rules));
	add(o, "base", text(base));
	add(o, "tree", text(tree));
	add(o, "patches", json_patches(g->series));
	add(o, "exports", e);
	add(o, "findings", f);
	s = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
						      JSON_C_TO_STRING_NOSLASHESCAPE);
	if (s)
		puts(s);
	json_object_put(o);
	return s ? 0 : -ENOMEM;
}
