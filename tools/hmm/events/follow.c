// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* From records to events: what is known of each, whether it is wanted, and the sums. */
#include "events.h"

#include <stdlib.h>
#include <string.h>

#define UNKNOWN "(not known)"
#define NO_NAME "(anonymous)"
/* A range that ends there or above is everything, as when a space ends. */
#define EVERYTHING (1ULL << 56)

/* How many records may wait to be shown. */
#define PENDING (1U << 16)

/* True: there are no more. */
static bool fetch(struct source *s)
{
	struct watch_record *more;

	for (;;) {
		if (s->n_pending == s->room) {
			if (s->room >= PENDING)
				return false;
			more = realloc(s->pending, (s->room * 2 + 256) * sizeof(*more));
			if (!more)
				return false;
			s->pending = more;
			s->room = s->room * 2 + 256;
		}
		if (!log_next(&s->log, &s->pending[s->n_pending]))
			return true;
		s->n_pending++;
	}
}

/* A program that changes memory faster than we read gets no names: a look cannot be dated then. */
static void look(struct source *s)
{
	struct mappings seen = { .pid = s->pid };

	if (mappings_look(&seen) && fetch(s))
		mappings_replace(&s->mappings, &seen, s->pending + s->next, s->n_pending - s->next);
	else
		mappings_free(&seen);
}

void follow_begin(struct source *s)
{
	s->mappings.pid = s->pid;
	look(s);
}

static const char *mapping_of(struct source *s, const struct watch_record *r)
{
	const char *name = mappings_name(&s->mappings, r->start, r->end);

	/* Once for what came together. */
	if (name || s->looked)
		return name;
	s->looked = true;
	look(s);
	return mappings_name(&s->mappings, r->start, r->end);
}

static bool wanted(const struct filter *f, const struct event *e)
{
	if (f->kinds && !(e->record->kind < 32 && f->kinds & 1U << e->record->kind))
		return false;
	if (e->bytes && e->bytes < f->min_size)
		return false;
	return !f->mapping || (e->mapping && strstr(e->mapping, f->mapping));
}

static void add(struct totals *t, const struct event *e)
{
	t->events++;
	t->bytes += e->bytes;
	table_add(&t->by[BY_KIND], e->kind, e->bytes);
	table_add(&t->by[BY_WHO], e->who, e->bytes);
	table_add(&t->by[BY_SITE], e->site, e->bytes);
	table_add(&t->by[BY_MAPPING], e->mapping ?: UNKNOWN, e->bytes);
}

static void show(struct watch *w, struct source *s, const struct watch_record *r)
{
	char who[64], site[32];
	struct event e = {
		.record = r,
		.pid = s->pid,
		.seconds = now() - w->began,
		.kind = event_kind_name(r->kind),
		.site = site,
		.mapping = mapping_of(s, r),
		.bytes = r->end >= EVERYTHING ? 0 : r->end - r->start,
	};

	snprintf(site, sizeof(site), "%u", r->site);
	if (r->site < s->n_sites)
		e.site = s->sites[r->site].name;
	if (e.mapping && !*e.mapping)
		e.mapping = NO_NAME;
	if (!e.bytes)
		e.mapping = "(all of them)";
	e.who = who_name(who, sizeof(who), w, s, r, &e.cause);
	if (!wanted(&w->filter, &e)) {
		w->totals.filtered++;
		return;
	}
	add(&w->totals, &e);
	print_event(&w->out, &e);
}

/* Losses are counted from what the programs say of this space and of all. */
static void settle(struct watch *w, struct source *s)
{
	const uint64_t dropped = s->log.space->dropped;
	const uint64_t on = s->log.global->word & ~(uint64_t)WATCH_OUT;

	if (dropped != s->dropped) {
		w->totals.lost += dropped - s->dropped;
		print_lost(&w->out, s, dropped - s->dropped, now() - w->began);
		s->dropped = dropped;
	}
	if (on != s->word) {
		w->totals.skipped += (on - s->word) / WATCH_ON;
		s->word = on;
	}
	if (s->log.global->detached && !s->log.space->ended)
		w->totals.detached = true;
}

bool follow(struct watch *w, struct source *s)
{
	/* What is written after this is read by the next call. */
	const bool ended = s->log.space->ended;
	bool any;

	fetch(s);
	any = s->n_pending;
	s->looked = false;
	while (s->next < s->n_pending) {
		/* A copy: a look fetches more. */
		const struct watch_record record = s->pending[s->next];

		if (!(record.flags & WATCH_END))
			show(w, s, &record);
		else if (mappings_ends(&record))
			mappings_cut(&s->mappings, record.start, record.end);
		s->next++;
	}
	s->next = s->n_pending = 0;
	settle(w, s);
	if (ended && !any)
		s->ended = true;
	return any;
}
