// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "history/out.h"
#include "text/export.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

static const char *tag(const struct history_printer *p, uint32_t r)
{
	return r == NO_RELEASE ? NULL : p->history->releases[r].tag;
}

static const char *or_text(const char *s, const char *none)
{
	return s ? s : none;
}

static struct json_object *text(const char *s)
{
	return s ? json_object_new_string(s) : NULL;
}

static const char *change_name(const struct change *c)
{
	return c->kind == CHANGE_UNCONSUMED ? "unconsumed" : "unexported";
}

static void add(struct json_object *o, const char *key, struct json_object *value)
{
	json_object_object_add(o, key, value);
}

/* A removal that lasts is in "removed", not a gap. */
static bool is_gap(const struct change *c)
{
	return c->kind == CHANGE_UNCONSUMED ||
	       (c->kind == CHANGE_UNEXPORTED && c->to != NO_RELEASE);
}

static struct json_object *json_changes(const struct history_printer *p, const struct story *s,
					enum change_kind kind)
{
	struct json_object *a = json_object_new_array();

	for (size_t i = 0; i < s->n_changes; i++) {
		const struct change *c = &s->changes[i];
		struct json_object *o;

		if (kind == CHANGE_UNCONSUMED ? !is_gap(c) : c->kind != kind)
			continue;
		o = json_object_new_object();
		if (kind == CHANGE_UNCONSUMED) {
			add(o, "kind", text(change_name(c)));
			add(o, "from", text(tag(p, c->from)));
			add(o, "to", text(tag(p, c->to)));
		} else {
			add(o, "release", text(tag(p, c->from)));
			add(o, "from", text(c->before));
			add(o, "to", text(c->after));
		}
		json_object_array_add(a, o);
	}
	return a;
}

static struct json_object *json_row(const struct history_printer *p, const struct history_row *row)
{
	const struct story *s = row->story;
	struct json_object *o = json_object_new_object();

	add(o, "name", text(s->name));
	add(o, "file", text(s->path));
	add(o, "line", json_object_new_int64(s->last->line));
	add(o, "licence", text(licence_name(s->last->licence)));
	add(o, "variant", text(variant_name(s->last->variant)));
	add(o, "namespace", text(summary_str(s->summary, s->last->ns_str)));
	add(o, "subsystem", text(row->subsystem));
	add(o, "verdict", text(verdict_name(s->last->verdict)));
	add(o, "reason", text(summary_str(s->summary, s->last->reason_str)));
	add(o, "exported", text(tag(p, s->exported)));
	add(o, "exported_earlier", json_object_new_boolean(s->exported_earlier));
	add(o, "consumed", text(tag(p, s->consumed)));
	add(o, "consumer", text(s->consumer));
	add(o, "late", json_object_new_int64(s->late));
	add(o, "gaps", json_changes(p, s, CHANGE_UNCONSUMED));
	add(o, "licence_changes", json_changes(p, s, CHANGE_LICENCE));
	add(o, "moves", json_changes(p, s, CHANGE_MOVE));
	add(o, "removed", text(tag(p, s->removed)));
	add(o, "renamed_from", text(s->renamed_from));
	add(o, "renamed_to", text(s->renamed_to));
	add(o, "unconsumed_since", text(s->removed == NO_RELEASE ? tag(p, s->idle) : NULL));
	add(o, "overdue", json_object_new_int64(s->overdue));
	add(o, "candidate", json_object_new_boolean(s->candidate));
	add(o, "commit", text(row->commit));
	return o;
}

static void json_start(struct history_printer *p)
{
	const struct history *h = p->history;

	fputs("{\"releases\": [", p->out);
	for (uint32_t r = 0; r < h->n; r++) {
		struct json_object *o = json_object_new_object();
		char hex[GIT_OID_HEXSZ + 1];
		uint32_t count[VERDICTS] = { 0 };

		for (uint32_t i = 0; i < h->summaries[r]->n; i++)
			count[h->summaries[r]->symbols[i].verdict]++;
		git_oid_tostr(hex, sizeof(hex), &h->releases[r].commit);
		add(o, "tag", text(h->releases[r].tag));
		add(o, "alias", text(h->releases[r].alias));
		add(o, "commit", text(hex));
		add(o, "window", json_object_new_int64(h->releases[r].window));
		add(o, "symbols", json_object_new_int64(h->summaries[r]->n));
		for (int v = 0; v < VERDICTS; v++)
			add(o, verdict_name(v), json_object_new_int64(count[v]));
		fprintf(p->out, "%s\n %s", r ? "," : "",
			json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(o);
	}
	fprintf(p->out, "],\n\"profile\": \"%s\", \"deadline\": %u,\n\"symbols\": [", p->profile,
		p->deadline);
}

static int json_print(struct history_printer *p, const struct history_row *row)
{
	struct json_object *o = json_row(p, row);
	const char *s = json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE);

	if (s)
		fprintf(p->out, "%s\n %s", p->rows ? "," : "", s);
	json_object_put(o);
	return s ? 0 : -ENOMEM;
}

#define COLUMNS 14

static const char *const columns[COLUMNS] = { "symbol",  "exported", "consumed",  "removed",
					      "licence", "verdict",  "overdue",   "late",
					      "gaps",    "changes",  "candidate", "subsystem",
					      "file",    "commit" };

/* The gaps, or the other changes, in words; malloc()ed. */
static char *words(const struct history_printer *p, const struct story *s, bool gaps)
{
	char *buf = NULL;
	size_t len;
	FILE *f = open_memstream(&buf, &len);

	if (!f)
		return NULL;
	for (size_t i = 0; i < s->n_changes; i++) {
		const struct change *c = &s->changes[i];
		const char *sep = ftell(f) ? "; " : "";

		if (is_gap(c) != gaps || (!gaps && c->kind == CHANGE_UNEXPORTED))
			continue;
		if (gaps)
			fprintf(f, "%s%s %s..%s", sep, change_name(c), tag(p, c->from),
				or_text(tag(p, c->to), ""));
		else
			fprintf(f, "%s%s: %s -> %s", sep, tag(p, c->from), c->before, c->after);
	}
	if (!gaps && s->renamed_from)
		fprintf(f, "%swas %s", ftell(f) ? "; " : "", s->renamed_from);
	if (!gaps && s->renamed_to)
		fprintf(f, "%snow %s", ftell(f) ? "; " : "", s->renamed_to);
	return fclose(f) ? NULL : buf;
}

struct cells {
	const char *v[COLUMNS];
	char exported[64], overdue[16], late[16];
	char *gaps, *changes;
};

static int fill(const struct history_printer *p, const struct history_row *row, struct cells *c)
{
	const struct story *s = row->story;

	snprintf(c->exported, sizeof(c->exported), "%s%s", s->exported_earlier ? "<=" : "",
		 tag(p, s->exported));
	snprintf(c->overdue, sizeof(c->overdue), "%u", s->overdue);
	snprintf(c->late, sizeof(c->late), "%u", s->late);
	c->gaps = words(p, s, true);
	c->changes = words(p, s, false);
	if (!c->gaps || !c->changes)
		return -ENOMEM;
	c->v[0] = s->name;
	c->v[1] = c->exported;
	c->v[2] = or_text(tag(p, s->consumed), "never");
	c->v[3] = or_text(tag(p, s->removed), "");
	c->v[4] = licence_name(s->last->licence);
	c->v[5] = verdict_name(s->last->verdict);
	c->v[6] = c->overdue;
	c->v[7] = c->late;
	c->v[8] = c->gaps;
	c->v[9] = c->changes;
	c->v[10] = s->candidate ? "yes" : "no";
	c->v[11] = row->subsystem;
	c->v[12] = s->path;
	c->v[13] = or_text(row->commit, "");
	return 0;
}

static void csv_cell(FILE *f, const char *s)
{
	if (!strpbrk(s, ",\"\n")) {
		fputs(s, f);
		return;
	}
	putc('"', f);
	for (; *s; s++) {
		if (*s == '"')
			putc('"', f);
		putc(*s, f);
	}
	putc('"', f);
}

static void csv_line(FILE *f, const char *const *v)
{
	for (int i = 0; i < COLUMNS; i++) {
		if (i)
			putc(',', f);
		csv_cell(f, v[i]);
	}
	putc('\n', f);
}

static void table_line(struct history_printer *p, const struct cells *c)
{
	const char *const *v = c->v;

	if (!p->rows)
		fprintf(p->out, "%-40s %-9s %-9s %-9s %-7s %-10s %7s  %s\n", "SYMBOL", "EXPORTED",
			"CONSUMED", "REMOVED", "LICENCE", "VERDICT", "OVERDUE", "FILE");
	fprintf(p->out, "%-40s %-9s %-9s %-9s %-7s %-10s %7s  %s\n", v[0], v[1], v[2],
		*v[3] ? v[3] : "-", v[4], v[5], v[6], v[12]);
	if (*v[8])
		fprintf(p->out, "    %s\n", v[8]);
	if (*v[9])
		fprintf(p->out, "    %s\n", v[9]);
	if (*v[13])
		fprintf(p->out, "    revert %s\n", v[13]);
}

void history_print_start(struct history_printer *p)
{
	if (p->format == HISTORY_JSON)
		json_start(p);
	else if (p->format == HISTORY_CSV)
		csv_line(p->out, columns);
	else if (p->format == HISTORY_HTML)
		history_html_start(p->out, columns, COLUMNS);
}

int history_print(struct history_printer *p, const struct history_row *row)
{
	struct cells c = { 0 };
	int err;

	if (p->format == HISTORY_JSON) {
		err = json_print(p, row);
	} else {
		err = fill(p, row, &c);
		if (!err && p->format == HISTORY_CSV)
			csv_line(p->out, c.v);
		else if (!err && p->format == HISTORY_HTML)
			history_html_row(p->out, c.v, COLUMNS);
		else if (!err)
			table_line(p, &c);
		free(c.gaps);
		free(c.changes);
	}
	p->rows++;
	p->candidates += row->story->candidate;
	return err;
}

void history_print_end(struct history_printer *p)
{
	const struct history *h = p->history;

	if (p->format == HISTORY_JSON)
		fputs("]}\n", p->out);
	else if (p->format == HISTORY_HTML)
		history_html_end(p->out);
	else if (p->format == HISTORY_TABLE)
		fprintf(p->out,
			"%zu symbols in %u releases, %s to %s; %zu overdue by the rule of %u "
			"window%s "
			"(%s): candidates for a revert\n",
			p->rows, h->n, h->releases[0].tag, h->releases[h->n - 1].tag, p->candidates,
			p->deadline, p->deadline == 1 ? "" : "s", p->profile);
}
