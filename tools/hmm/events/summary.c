// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What there was, summed up. */
#include "events.h"

#include <inttypes.h>

#include "../child.h"
#include "../json.h"
#include "../term.h"

#define NUMBERS 40 /* columns of the numbers in front of a name */

static const struct {
	const char *title;
	const char *key;
} tables[BY_NR] = {
	[BY_KIND] = { "KIND", "kinds" },
	[BY_WHO] = { "WHO", "who" },
	[BY_SITE] = { "FUNCTION", "functions" },
	[BY_MAPPING] = { "MAPPING", "mappings" },
};

static void row(const struct output *out, const struct count *c, uint64_t all, const char *name)
{
	char bytes[WORDS], largest[WORDS], text[4 * NAME_MAX_HERE], shown[4 * NAME_MAX_HERE];
	const int width = columns(out->to);
	int room = width > NUMBERS + 8 ? width - NUMBERS : 8;

	printable(text, sizeof(text), name);
	if (width)
		shorten(shown, sizeof(shown), text, room, ELLIPSIS);
	fprintf(out->to, "%6.2f%% %9" PRIu64 " %10s %10s %s\n",
		100.0 * (double)c->events / (double)all, c->events, bytes_in_words(bytes, c->bytes),
		bytes_in_words(largest, c->largest), width ? shown : text);
}

static void table(const struct output *out, const struct totals *t, enum by by)
{
	const struct table *rows = &t->by[by];
	struct count left = rows->others;
	size_t n = 0;

	fprintf(out->to, "\n%s%7s %9s %10s %10s %s%s\n", colour(out->to, BOLD), "%", "EVENTS",
		"BYTES", "LARGEST", tables[by].title, colour(out->to, PLAIN));
	for (size_t i = 0; i < rows->n; i++) {
		const struct count *c = &rows->rows[i];

		if (!out->rows || i < out->rows) {
			row(out, c, t->events, c->name);
			continue;
		}
		n++;
		left.events += c->events;
		left.bytes += c->bytes;
		left.largest = c->largest > left.largest ? c->largest : left.largest;
	}
	if (left.events) {
		char name[48];

		snprintf(name, sizeof(name), "(%zu more)", n);
		row(out, &left, t->events, n ? name : "(more)");
	}
}

/* What is missing from the numbers above, each a sentence. */
static void gaps(const struct watch *w)
{
	const struct totals *t = &w->totals;
	FILE *to = w->out.to;

	if (t->lost)
		fprintf(to,
			"%s%" PRIu64 " more records did not fit in the log: lost (--log-size).%s\n",
			colour(to, RED), t->lost, colour(to, PLAIN));
	if (t->skipped)
		fprintf(to,
			"The kernel may have skipped a tracing program, %" PRIu64 " time%s; "
			"events may be missing.\n",
			t->skipped, t->skipped == 1 ? "" : "s");
	if (t->detached)
		fprintf(to, "The tracing programs were taken away before the program ended.\n");
	if (t->unattached)
		fprintf(to,
			"%u function%s could not be watched (%s); what changes there is missing.\n",
			t->unattached, t->unattached == 1 ? "" : "s", t->unattached_first);
	if (t->filtered)
		fprintf(to, "%" PRIu64 " event%s left out as the options ask.\n", t->filtered,
			t->filtered == 1 ? " is" : "s are");
}

static void text(const struct watch *w)
{
	const struct totals *t = &w->totals;
	char bytes[WORDS];
	FILE *to = w->out.to;

	fprintf(to, "%s%" PRIu64 " event%s in %u address space%s, %s invalidated\n",
		w->out.live ? "\n" : "", t->events, t->events == 1 ? "" : "s", t->spaces,
		t->spaces == 1 ? "" : "s", bytes_in_words(bytes, t->bytes));
	gaps(w);
	for (int by = 0; by < BY_NR && t->events; by++)
		table(&w->out, t, by);
}

static struct json_object *rows_json(const struct table *rows)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i <= rows->n; i++) {
		const struct count *c = i < rows->n ? &rows->rows[i] : &rows->others;
		struct json_object *o;

		if (!c->events)
			continue;
		o = json_object_new_object();
		if (i < rows->n)
			put_name(o, "name", c->name);
		else
			put_text(o, "name", NULL);
		put_number(o, "events", (int64_t)c->events);
		put_number(o, "bytes", (int64_t)c->bytes);
		put_number(o, "largest", (int64_t)c->largest);
		json_object_array_add(list, o);
	}
	return list;
}

static void object(const struct watch *w, const char *program, int status)
{
	const struct totals *t = &w->totals;
	struct json_object *o = json_object_new_object();

	put_text(o, "type", "summary");
	put_name(o, "program", program);
	put_number(o, "status", status_in_shell(status));
	put_number(o, "spaces", t->spaces);
	put_number(o, "events", (int64_t)t->events);
	put_number(o, "bytes", (int64_t)t->bytes);
	put_number(o, "left_out", (int64_t)t->filtered);
	put_number(o, "lost", (int64_t)t->lost);
	put_number(o, "maybe_skipped", (int64_t)t->skipped);
	put_bool(o, "detached", t->detached);
	put_number(o, "functions_not_watched", t->unattached);
	put_bool(o, "complete", !t->lost && !t->skipped && !t->detached && !t->unattached);
	for (int by = 0; by < BY_NR; by++)
		json_object_object_add(o, tables[by].key, rows_json(&t->by[by]));
	fprintf(w->out.to, "%s\n",
		json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							  JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

void print_summary(struct watch *w, const char *program, int status)
{
	for (int by = 0; by < BY_NR; by++)
		table_sort(&w->totals.by[by]);
	if (w->out.error)
		return;
	if (w->out.json)
		object(w, program, status);
	else
		text(w);
}
