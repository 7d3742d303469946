// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The picture on a terminal: a row an area, a bar of its pages. */
#include <stdio.h>
#include <string.h>

#include "../term.h"
#include "space.h"

static const enum colour kind_colours[HMM_VMA_KIND_NR] = {
	[HMM_VMA_ANON] = BLUE,    [HMM_VMA_HUGETLB] = BLUE, [HMM_VMA_SHMEM] = MAGENTA,
	[HMM_VMA_SYSV] = MAGENTA, [HMM_VMA_FILE] = CYAN,    [HMM_VMA_DAX] = YELLOW,
	[HMM_VMA_SPECIAL] = DIM,
};

#define BAR 32 /* characters, each of CELLS / BAR cells */

static struct fill bar_fill(const struct area *area, int i)
{
	struct fill f = { 0 };

	for (int c = i * CELLS / BAR; c < (i + 1) * CELLS / BAR; c++) {
		f.present += area->cells[c].present;
		f.huge += area->cells[c].huge;
		f.swapped += area->cells[c].swapped;
		f.device += area->cells[c].device;
	}
	return f;
}

static const char *glyph(const struct fill *f, uint64_t length, bool coloured)
{
	static const char *const shades[] = { "\u2591", "\u2592", "\u2593" };

	/* Without colours what the device holds needs a glyph of its own. */
	if (f->device && !coloured)
		return f->huge ? "H" : "#";
	if (f->huge)
		return "\u2588";
	if (f->present)
		return shades[length && f->present < length ? 3 * f->present / length : 2];
	return f->swapped ? "s" : "\u00b7";
}

static void bar(const struct area *area)
{
	const char *kind = colour(stdout, kind_colours[area->kind]),
		   *device = colour(stdout, GREEN);
	uint64_t length = (area->end - area->start) / BAR;

	for (int i = 0; i < BAR; i++) {
		struct fill f = bar_fill(area, i);

		printf("%s%s%s",
		       f.device    ? device
		       : f.present ? kind
				   : colour(stdout, DIM),
		       glyph(&f, length, *device), colour(stdout, PLAIN));
	}
}

static void row(const struct area *a, int width)
{
	char size[WORDS], present[WORDS], held[WORDS];
	const char *name = *a->name ? a->name : "";
	int room = width - 103;
	size_t length = strlen(name);

	if (room < 12)
		room = 12;
	printf("%012llx %9s %4s %s%-8s%s ", (unsigned long long)a->start,
	       bytes_in_words(size, a->end - a->start), a->prot,
	       colour(stdout, kind_colours[a->kind]), hmm_vma_kind_name(a->kind),
	       colour(stdout, PLAIN));
	bar(a);
	printf(" %9s %9s%c %s%s\n", a->sum.present ? bytes_in_words(present, a->sum.present) : "-",
	       a->sum.device ? bytes_in_words(held, a->sum.device) : "-", a->registered ? '*' : ' ',
	       (int)length > room ? "\u2026" : "",
	       (int)length > room ? name + length - (size_t)room + 1 : name);
}

void space_print(const struct space *space)
{
	char size[WORDS], held[WORDS];
	struct fill sum = { 0 };
	int width = columns(stdout);

	for (size_t i = 0; i < space->n; i++) {
		sum.present += space->areas[i].sum.present;
		sum.device += space->areas[i].sum.device;
	}
	printf("%s%s%s, process %d: %zu areas, %s present, the device holds %s\n\n",
	       colour(stdout, BOLD), space->command, colour(stdout, PLAIN), (int)space->pid,
	       space->n, bytes_in_words(size, sum.present), bytes_in_words(held, sum.device));
	printf("%s%-12s %9s %-4s %-8s %-*s %9s %9s  %s%s\n", colour(stdout, DIM), "start", "size",
	       "prot", "kind", BAR, "pages", "present", "device", "name", colour(stdout, PLAIN));
	for (size_t i = 0; i < space->n; i++)
		row(&space->areas[i], width);
	printf("\n\u2588 huge pages  \u2591\u2592\u2593 4K pages  s swapped  \u00b7 not present  "
	       "%s%s%s the device holds it  * mirrored (registered)  ? its parts differ\n",
	       colour(stdout, GREEN), *colour(stdout, GREEN) ? "\u2588\u2592" : "H #",
	       colour(stdout, PLAIN));
	if (space->pages_hidden)
		puts("No permission to see which pages of this process are present.");
}
