// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Events as they come: a line for people, or an object each. */
#include "events.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "../json.h"
#include "../term.h"

/* Columns; the mapping has what is left. What does not fit is left out from the right. */
#define WHO 20
#define SITE 28
#define FIXED 63 /* time, kind, range, size, each with the space behind it */
#define MAPPING 20

/* The first error of the stream, and nothing is written any more. */
static void check(const struct output *out)
{
	struct output *o = (struct output *)(uintptr_t)out;

	if (!o->error && (fflush(o->to) || ferror(o->to)))
		o->error = errno ?: EIO;
}

struct layout {
	bool who;
	bool site;
	int mapping; /* columns; 0: no limit */
};

static struct layout layout(const struct output *out)
{
	const int width = columns(out->to);
	struct layout l = { true, true, 0 };
	int left = width - FIXED;

	if (!width)
		return l;
	l.who = left >= WHO + MAPPING;
	left -= l.who ? WHO + 1 : 0;
	l.site = left >= SITE + MAPPING;
	left -= l.site ? SITE + 1 : 0;
	l.mapping = left > 8 ? left : 8;
	return l;
}

static void print_head(const struct output *out)
{
	const struct layout l = layout(out);

	if (out->json)
		return;
	fprintf(out->to, "%s%10s %-12s %-25s %10s ", colour(out->to, BOLD), "SECONDS", "KIND",
		"RANGE", "SIZE");
	if (l.who)
		fprintf(out->to, "%-*s ", WHO, "WHO");
	if (l.site)
		fprintf(out->to, "%-*s ", SITE, "FUNCTION");
	fprintf(out->to, "MAPPING%s\n", colour(out->to, PLAIN));
}

static enum colour colour_of(unsigned int kind)
{
	static const enum colour colours[WATCH_KIND_NR] = {
		[WATCH_UNMAP] = RED,         [WATCH_CLEAR] = YELLOW, [WATCH_PROTECT] = BLUE,
		[WATCH_PROTECT_PAGE] = CYAN, [WATCH_FORK] = GREEN,   [WATCH_MOVE] = MAGENTA,
	};

	return kind < WATCH_KIND_NR ? colours[kind] : PLAIN;
}

static void print_text(const struct output *out, const struct event *e)
{
	const struct layout l = layout(out);
	char range[64], size[WORDS], name[4 * NAME_MAX_HERE], shown[4 * NAME_MAX_HERE];
	const char *end = colour(out->to, PLAIN);

	if (e->bytes)
		snprintf(range, sizeof(range), "%" PRIx64 "-%" PRIx64, (uint64_t)e->record->start,
			 (uint64_t)e->record->end);
	else
		snprintf(range, sizeof(range), "everything");
	fprintf(out->to, "%10.6f %s%-12s%s %-25s %10s ", e->seconds,
		colour(out->to, colour_of(e->record->kind)), e->kind, end, range,
		e->bytes ? bytes_in_words(size, e->bytes) : "");
	printable(name, sizeof(name), e->who);
	if (l.who)
		fprintf(out->to, "%-*s ", WHO, name);
	if (l.site)
		fprintf(out->to, "%-*s ", SITE, e->site);
	printable(name, sizeof(name), e->mapping ?: "-");
	if (l.mapping)
		shorten(shown, sizeof(shown), name, l.mapping, ELLIPSIS);
	fprintf(out->to, "%s\n", l.mapping ? shown : name);
}

static void put_line(const struct output *out, struct json_object *o)
{
	fprintf(out->to, "%s\n",
		json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							  JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

/* Addresses as text: numbers of JSON are exact to 53 bits only. */
static void put_address(struct json_object *o, const char *key, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	put_text(o, key, text);
}

static void put_seconds(struct json_object *o, double seconds)
{
	char text[32];

	snprintf(text, sizeof(text), "%.6f", seconds);
	json_object_object_add(o, "seconds", json_object_new_double_s(seconds, text));
}

static void print_object(const struct output *out, const struct event *e)
{
	struct json_object *o = json_object_new_object();

	put_text(o, "type", "event");
	put_seconds(o, e->seconds);
	put_number(o, "pid", e->pid);
	put_text(o, "kind", e->kind);
	put_address(o, "start", e->record->start);
	put_address(o, "end", e->record->end);
	put_text(o, "cause", e->cause);
	put_number(o, "task", e->record->task);
	put_number(o, "process", e->record->tgid);
	put_name(o, "who", e->who);
	put_text(o, "function", e->site);
	if (e->mapping)
		put_name(o, "mapping", e->mapping);
	else
		put_text(o, "mapping", NULL);
	put_line(out, o);
}

void print_event(const struct output *out, const struct event *e)
{
	if (!out->live || out->error)
		return;
	if (out->json)
		print_object(out, e);
	else
		print_text(out, e);
	check(out);
}

void print_source(const struct output *out, const struct source *s, double seconds)
{
	static bool headed;
	struct json_object *o;

	if (!out->live || out->error)
		return;
	if (!headed)
		print_head(out);
	headed = true;
	if (out->json) {
		o = json_object_new_object();
		put_text(o, "type", "space");
		put_seconds(o, seconds);
		put_number(o, "pid", s->pid);
		put_text(o, "log_of", s->helper ? "hmm-watchd" : "hmm events");
		put_number(o, "functions", s->n_attached);
		put_line(out, o);
	} else {
		fprintf(out->to,
			"%10.6f %sprocess %d is watched at %u functions, "
			"through %s%s\n",
			seconds, colour(out->to, DIM), (int)s->pid, s->n_attached,
			s->helper ? "hmm-watchd" : "programs of this command",
			colour(out->to, PLAIN));
	}
	check(out);
}

void print_lost(const struct output *out, const struct source *s, uint64_t n, double seconds)
{
	struct json_object *o;

	if (!out->live || out->error)
		return;
	if (out->json) {
		o = json_object_new_object();
		put_text(o, "type", "lost");
		put_seconds(o, seconds);
		put_number(o, "pid", s->pid);
		put_number(o, "records", (int64_t)n);
		put_line(out, o);
	} else {
		fprintf(out->to, "%10.6f %s%" PRIu64 " records of process %d did not fit: lost%s\n",
			seconds, colour(out->to, RED), n, (int)s->pid, colour(out->to, PLAIN));
	}
	check(out);
}
