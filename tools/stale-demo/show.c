// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The table that people read first: 80 columns. And JSON. */
#include <string.h>
#include <unistd.h>
#include "demo.h"

/* "2,000", "-" where it was not run, "HANG". */
static void print_races(FILE *to, const struct cell *cell, int width)
{
	char text[32];

	if (cell->result == RESULT_OK || cell->result == RESULT_STALE) {
		unsigned int n = cell->stale;

		if (n >= 1000)
			snprintf(text, sizeof(text), "%u,%03u", n / 1000, n % 1000);
		else
			snprintf(text, sizeof(text), "%u", n);
	} else {
		snprintf(text, sizeof(text), "%s", result_name(cell->result));
	}
	fprintf(to, "%*s", width, text);
}

static void print_cost(FILE *to, const struct cell *cell)
{
	if (cell->result == RESULT_OK && cell->beside > 0)
		fprintf(to, "%9.1fx", cell->cost / cell->beside);
	else
		fprintf(to, "%10s", result_name(cell->result));
}

static void print_monitor(FILE *to, const struct monitor *m)
{
	struct count count = count_rows(m, SCENE_ROW | SCENE_SEQUENCE); /* those that ran */
	char text[32];

	fprintf(to, "%-14s", m->name);
	if (m->missing) {
		fprintf(to, "  missing: %.52s\n", m->why);
		return;
	}
	print_races(to, cell_named(m, "race"), 9);
	print_races(to, cell_named(m, "race-raw"), 11);
	snprintf(text, sizeof(text), "%u of %u", count.stale, count.of);
	fprintf(to, "%16s%9u", text, count.hang);
	print_cost(to, cell_named(m, "munmap-cost"));
	fputc('\n', to);
}

/* What a monitor of ours misses has a reason. */
static void show_missed(FILE *to)
{
	const struct scene *scene;

	for (unsigned int i = 0; (scene = scene_at(i)); i++) {
		bool missed = false;

		for (const struct monitor *m = monitors; m->name; m++)
			missed |= m->ours && m->cell[i].result == RESULT_STALE;
		if (missed)
			fprintf(to, "\nMissed with libhmm: %s%s\n", scene->text,
				scene->flags & SCENE_NO_EVENT
					? ",\nof which the kernel tells nobody. "
					  "HMM_REGCACHE_STRICT looks for it."
					: ".");
	}
}

void show_table(FILE *to, const struct demo *demo)
{
	fprintf(to,
		"One thread unmaps memory that a registration cache keeps registered. Another\n"
		"maps the address anew, and asks the cache for a registration, %u times.\n"
		"Stale: it gets one of pages that are gone; a device would write there.\n\n"
		"                stale, of races           changes   hangs,    munmap\n"
		"monitor         by libc   raw call         missed   breaks     costs\n",
		demo->races);
	for (const struct monitor *m = monitors; m->name; m++)
		if (m->wanted)
			print_monitor(to, m);
	fputc('\n', to);
	for (const struct monitor *m = monitors; m->name; m++)
		if (m->wanted && !m->missing)
			fprintf(to, "%-14s%s\n", m->name, m->text);
	show_missed(to);
}

static void json_string(FILE *to, const char *text)
{
	fputc('"', to);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(to, "\\%c", *text);
		else if ((unsigned char)*text < ' ')
			fprintf(to, "\\u%04x", *text);
		else
			fputc(*text, to);
	}
	fputc('"', to);
}

static void json_cell(FILE *to, const char *name, const struct cell *cell)
{
	fprintf(to, "\"%s\": {\"result\": \"%s\", \"stale\": %u, \"of\": %u, \"cached\": %s", name,
		result_name(cell->result), cell->stale, cell->of, cell->cached ? "true" : "false");
	if (cell->beside > 0)
		fprintf(to, ", \"ns\": %.1f, \"beside_ns\": %.1f", cell->cost, cell->beside);
	if (cell->why[0]) {
		fputs(", \"why\": ", to);
		json_string(to, cell->why);
	}
	fputc('}', to);
}

static void json_monitor(FILE *to, const struct monitor *m)
{
	const struct scene *scene;
	const char *comma = "";

	fprintf(to, "{\"monitor\": \"%s\", \"missing\": %s, \"why\": ", m->name,
		m->missing ? "true" : "false");
	json_string(to, m->why);
	fputs(", \"scenes\": {", to);
	for (unsigned int i = 0; (scene = scene_at(i)); i++) {
		if (m->cell[i].result == RESULT_NOT_RUN)
			continue;
		fputs(comma, to);
		json_cell(to, scene->name, &m->cell[i]);
		comma = ",\n  ";
	}
	for (int i = 0; i < 2; i++) {
		if (m->nobody[i].result == RESULT_NOT_RUN)
			continue;
		fputs(comma, to);
		json_cell(to, i ? "race-raw-unprivileged" : "race-unprivileged", &m->nobody[i]);
		comma = ",\n  ";
	}
	fputs("}}", to);
}

void show_json(FILE *to)
{
	const char *comma = "[";

	for (const struct monitor *m = monitors; m->name; m++) {
		if (!m->wanted)
			continue;
		fputs(comma, to);
		json_monitor(to, m);
		comma = ",\n ";
	}
	fputs("]\n", to);
}
