// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The table of docs/monitors.md: a line a scene, a column a monitor. */
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "demo.h"

static bool shown(const struct monitor *m)
{
	return m->wanted && !m->missing;
}

static void print_head(FILE *to, const char *what)
{
	fprintf(to, "\n| %s |", what);
	for (const struct monitor *m = monitors; m->name; m++)
		if (shown(m))
			fprintf(to, " %s |", m->name);
	fputs("\n| --- |", to);
	for (const struct monitor *m = monitors; m->name; m++)
		if (shown(m))
			fputs(" --- |", to);
	fputc('\n', to);
}

static void print_cell(FILE *to, const struct cell *cell, unsigned int kind)
{
	if (kind == SCENE_HIT && cell->result == RESULT_OK)
		fprintf(to, " %.0f |", cell->cost);
	else if (kind == SCENE_COST && cell->result == RESULT_OK)
		fprintf(to, " %.1f |", cell->beside > 0 ? cell->cost / cell->beside : 0);
	else if (kind == SCENE_RACE && (cell->result == RESULT_OK || cell->result == RESULT_STALE))
		fprintf(to, " %u |", cell->stale);
	else if (cell->result == RESULT_OK && !cell->cached)
		fputs(" ok, not kept |", to);
	else
		fprintf(to, " %s |", result_name(cell->result));
}

static void print_rows(FILE *to, unsigned int kind)
{
	const struct scene *scene;

	for (unsigned int i = 0; (scene = scene_at(i)); i++) {
		if (!(scene->flags & kind))
			continue;
		fprintf(to, "| %s |", scene->text);
		for (const struct monitor *m = monitors; m->name; m++)
			if (shown(m))
				print_cell(to, &m->cell[i], kind);
		fputc('\n', to);
	}
}

static void print_nobody(FILE *to)
{
	static const char *const names[] = { "the race, without privilege",
					     "by system calls, without privilege" };

	for (int i = 0; i < 2; i++) {
		fprintf(to, "| %s |", names[i]);
		for (const struct monitor *m = monitors; m->name; m++)
			if (shown(m))
				print_cell(to, &m->nobody[i], SCENE_RACE);
		fputc('\n', to);
	}
}

/* Once for all monitors that say the same; those before this one have said it. */
static void print_note(FILE *to, const struct monitor *first, const struct scene *scene,
		       unsigned int i)
{
	const char *why = first->cell[i].why, *comma = "";

	for (const struct monitor *m = monitors; m < first; m++)
		if (shown(m) && !strcmp(m->cell[i].why, why))
			return;
	fprintf(to, "- %s:\n  ", scene->text);
	for (const struct monitor *m = first; m->name; m++)
		if (shown(m) && !strcmp(m->cell[i].why, why)) {
			fprintf(to, "%s`%s`", comma, m->name);
			comma = ", ";
		}
	fprintf(to, ":\n  %s\n", why);
}

static void print_notes(FILE *to)
{
	const struct scene *scene;

	fputc('\n', to);
	for (const struct monitor *m = monitors; m->name; m++)
		if (m->wanted && m->missing)
			fprintf(to, "- `%s` is missing: %s\n", m->name, m->why);
	for (unsigned int i = 0; (scene = scene_at(i)); i++)
		for (const struct monitor *m = monitors; m->name; m++)
			if (shown(m) && m->cell[i].why[0])
				print_note(to, m, scene, i);
}

void show_markdown(FILE *to, const struct demo *demo)
{
	struct utsname uts;

	uname(&uts);
	fprintf(to, "Measured on Linux %s, %s, as %s; libfabric %s, UCX %s; %u races each.\n\n",
		uts.release, uts.machine, geteuid() ? "a user" : "root", STALE_DEMO_LIBFABRIC,
		STALE_DEMO_UCX, demo->races);
	for (const struct monitor *m = monitors; m->name; m++)
		if (shown(m))
			fprintf(to, "- `%s`: %s\n", m->name, m->text);
	print_head(to, "the change, after which the memory is registered again");
	print_rows(to, SCENE_ROW);
	print_head(to, "the sequence");
	print_rows(to, SCENE_SEQUENCE);
	print_head(to, "stale, of all races");
	print_rows(to, SCENE_RACE);
	if (demo->nobody)
		print_nobody(to);
	print_head(to, "time, as a multiple of the time without a cache");
	print_rows(to, SCENE_COST);
	print_head(to, "time, in ns");
	print_rows(to, SCENE_HIT);
	print_notes(to);
}
