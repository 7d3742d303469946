// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What the monitors did while the program ran: lines for people, or one object. */
#include <inttypes.h>
#include <string.h>

#include "../child.h"
#include "../attach.h"
#include "../command.h"
#include "../json.h"
#include "exec.h"

/* Why nothing was served at all; NULL if something was, or could have been. */
static const char *why_nothing(const struct run *r)
{
	bool loaded = false;

	if (!strcmp(r->monitor, "none"))
		return "the monitor is 'none'";
	if (r->attach_error)
		return attach_words(r->attach_error) ?: strerror(-r->attach_error);
	for (int i = 0; i < N_MONITORS; i++)
		loaded = loaded || counters_get(&r->counters, i).loaded;
	if (loaded)
		return NULL;
	return r->not_preloaded ? r->not_preloaded
				: "no process loaded a monitor, or none could reach the counters";
}

/* Any process asked a cache of the library for a registration. */
static bool used(const struct counts *c)
{
	return c->hits || c->misses || c->refused || c->invalidations;
}

static void put_count(FILE *to, uint64_t n, const char *what, const char *many)
{
	fprintf(to, "%" PRIu64 " %s%s", n, what, n == 1 ? "" : many);
}

static void tell(const struct module *m, const struct counts *c, FILE *to)
{
	fprintf(to, "hmm exec: %s: ", m->library);
	put_count(to, c->served, "process", "es");
	fputs(", ", to);
	put_count(to, c->hits, "hit", "s");
	fputs(", ", to);
	put_count(to, c->misses, "miss", "es");
	fprintf(to, ", %" PRIu64 " invalidated, %" PRIu64 " refused, %" PRIu64 " stale prevented\n",
		c->invalidations, c->refused, c->stale_prevented);
}

/* Why a monitor did not serve, where that is not plain from the rest. */
static void tell_why(const struct module *m, const struct counts *c, FILE *to)
{
	if (m->wanted && !*m->path)
		fprintf(to, "hmm exec: %s: not served: %s is not installed\n", m->library, m->file);
	else if (c->why)
		fprintf(to, "hmm exec: %s: %snot served: %s\n", m->library,
			c->served ? "some processes " : "", c->why);
}

void report_text(const struct run *r, FILE *to)
{
	const char *nothing = why_nothing(r);
	bool any = false;

	if (nothing) {
		fprintf(to, "hmm exec: nothing was served: %s\n", nothing);
		return;
	}
	for (int i = 0; i < N_MONITORS; i++) {
		const struct module *m = &r->modules[i];
		const struct counts c = counters_get(&r->counters, i);

		any = any || used(&c);
		if (c.served)
			tell(m, &c, to);
		if (m->wanted)
			tell_why(m, &c, to);
	}
	if (!any)
		fputs("hmm exec: no process that could be counted used a registration cache\n", to);
}

static struct json_object *monitor(const struct run *r, int i)
{
	const struct module *m = &r->modules[i];
	const struct counts c = counters_get(&r->counters, i);
	struct json_object *o = json_object_new_object();

	put_text(o, "library", m->library);
	put_bool(o, "preloaded", m->wanted && *m->path && !r->attach_error);
	put_number(o, "loaded", (int64_t)c.loaded);
	put_number(o, "served", (int64_t)c.served);
	put_number(o, "hits", (int64_t)c.hits);
	put_number(o, "misses", (int64_t)c.misses);
	put_number(o, "invalidations", (int64_t)c.invalidations);
	put_number(o, "refused", (int64_t)c.refused);
	put_number(o, "stale_prevented", (int64_t)c.stale_prevented);
	put_text(o, "why", m->wanted && !*m->path ? "not installed" : c.why);
	return o;
}

void report_json(const struct run *r, char **argv, FILE *to)
{
	struct json_object *o = json_object_new_object(), *monitors = json_object_new_object();
	bool any = false;

	put_name(o, "program", argv[0]);
	put_number(o, "status", status_in_shell(r->status));
	put_text(o, "monitor", r->monitor);
	for (int i = 0; i < N_MONITORS; i++) {
		const struct counts c = counters_get(&r->counters, i);

		any = any || used(&c);
		json_object_object_add(monitors, r->modules[i].monitor, monitor(r, i));
	}
	json_object_object_add(o, "monitors", monitors);
	put_bool(o, "cache_used", any);
	put_text(o, "nothing_served", why_nothing(r));
	fprintf(to, "%s\n",
		json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
							  JSON_C_TO_STRING_SPACED |
							  JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}
