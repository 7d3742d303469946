// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The picture on a terminal: a row an area, a bar of its pages. A narrow terminal gets fewer
 * columns.
 */
#include <stdio.h>
#include <string.h>

#include "../term.h"
#include "space.h"

static const enum colour kind_colours[HMM_VMA_KIND_NR] = {
	[HMM_VMA_ANON] = BLUE,    [HMM_VMA_HUGETLB] = BLUE, [HMM_VMA_SHMEM] = MAGENTA,
	[HMM_VMA_SYSV] = MAGENTA, [HMM_VMA_FILE] = CYAN,    [HMM_VMA_DAX] = YELLOW,
	[HMM_VMA_SPECIAL] = DIM,
};

#define NAME 1024
#define NAME_MIN 12

/* Widths, without the space behind; 0: left out. */
struct layout {
	int bar; /* characters, each of CELLS / bar cells */
	int size;
	int prot;
	int kind;
	int present;
	int device;
};

/* The first that leaves room for a name. */
static const struct layout layouts[] = {
	{ 32, 11, 4, 8, 9, 9 }, { 16, 8, 4, 8, 8, 8 }, { 16, 8, 0, 8, 8, 8 },
	{ 8, 8, 0, 8, 8, 8 },   { 8, 8, 0, 0, 8, 8 },  { 8, 8, 0, 0, 0, 8 },
	{ 8, 0, 0, 0, 0, 8 },   { 0, 0, 0, 0, 0, 8 },  { 0, 0, 0, 0, 0, 0 },
};

#define N_LAYOUTS (sizeof(layouts) / sizeof(layouts[0]))

static int with_space(int column)
{
	return column ? column + 1 : 0;
}

/* Columns of all but the name. */
static int taken(const struct layout *l)
{
	return 12 + with_space(l->size) + with_space(l->prot) + with_space(l->kind) +
	       with_space(l->bar) + with_space(l->present) + with_space(l->device) + 2;
}

static const struct layout *choose(int width)
{
	size_t i = 0;

	while (width && i < N_LAYOUTS - 1 && taken(&layouts[i]) + NAME_MIN > width)
		i++;
	return &layouts[i];
}

static struct fill bar_fill(const struct area *area, int i, int bar)
{
	struct fill f = { 0 };

	for (int c = i * CELLS / bar; c < (i + 1) * CELLS / bar; c++) {
		f.present += area->cells[c].present;
		f.huge += area->cells[c].huge;
		f.swapped += area->cells[c].swapped;
		f.device += area->cells[c].device;
	}
	return f;
}

static const char *shade(unsigned int i)
{
	static const char *const shades[] = { "\u2591", "\u2592", "\u2593" }, *const ascii[] = {
		"-", "+", "%"
	};

	return glyph(shades[i], ascii[i]);
}

static const char *look(const struct fill *f, uint64_t length, bool coloured)
{
	/* Without colours what the device holds needs a glyph of its own. */
	if (f->device && !coloured)
		return f->huge ? "H" : "#";
	if (f->huge)
		return glyph("\u2588", "@");
	if (f->present)
		return shade(length && f->present < length ? 3 * f->present / length : 2);
	return f->swapped ? "s" : glyph("\u00b7", ".");
}

static void bar(const struct area *area, int cells)
{
	const char *kind = colour(stdout, kind_colours[area->kind]),
		   *device = colour(stdout, GREEN);
	uint64_t length = cells ? (area->end - area->start) / (uint64_t)cells : 0;

	for (int i = 0; i < cells; i++) {
		struct fill f = bar_fill(area, i, cells);

		printf("%s%s%s",
		       f.device    ? device
		       : f.present ? kind
				   : colour(stdout, DIM),
		       look(&f, length, *device), colour(stdout, PLAIN));
	}
	if (cells)
		putchar(' ');
}

/* In a column of this width, on the right; nothing for a column that is left out. */
static void amount(uint64_t bytes, int width)
{
	char text[WORDS];

	if (width)
		printf("%*s ", width, bytes ? bytes_in_words(text, bytes) : "-");
}

static void row(const struct area *a, const struct layout *l, int room)
{
	char name[NAME], end[NAME];
	/*
	 * What is above the addresses that a program may map has 16 digits: the next column gives
	 * the room.
	 */
	int digits = printf("%012llx", (unsigned long long)a->start);
	int size = l->size ? l->size - (digits - 12) : 0;
	char text[WORDS];

	if (room)
		room -= l->size ? 0 : digits - 12;
	if (room && size && text_columns(bytes_in_words(text, a->end - a->start)) > size)
		room -= text_columns(text) - size;

	putchar(' ');
	amount(a->end - a->start, size);
	if (l->prot)
		printf("%4s ", a->prot);
	if (l->kind)
		printf("%s%-8s%s ", colour(stdout, kind_colours[a->kind]),
		       hmm_vma_kind_name(a->kind), colour(stdout, PLAIN));
	bar(a, l->bar);
	amount(a->sum.present, l->present);
	amount(a->sum.device, l->device);
	printable(name, sizeof(name), a->name);
	printf("%s%s%s%s\n", colour(stdout, GREEN), a->sum.mirrored ? "*" : " ",
	       colour(stdout, PLAIN),
	       room ? shorten(end, sizeof(end), name, room, ELLIPSIS) : name);
}

static void title(const struct layout *l)
{
	printf("%s%-12s ", colour(stdout, DIM), "start");
	if (l->size)
		printf("%*s ", l->size, "size");
	if (l->prot)
		printf("%-4s ", "prot");
	if (l->kind)
		printf("%-8s ", "kind");
	if (l->bar)
		printf("%-*s ", l->bar, "pages");
	if (l->present)
		printf("%*s ", l->present, "present");
	if (l->device)
		printf("%*s ", l->device, "device");
	printf(" name%s\n", colour(stdout, PLAIN));
}

static void legend(const struct layout *l)
{
	bool coloured = *colour(stdout, GREEN);

	putchar('\n');
	if (l->bar)
		put_paragraph(0,
			      "%s huge pages  %s%s%s 4K pages  s swapped  %s not present  %s the "
			      "device holds it",
			      glyph("\u2588", "@"), shade(0), shade(1), shade(2),
			      glyph("\u00b7", "."), coloured ? "green" : "H #");
	put_paragraph(0, "* mirrored (registered)%s", l->prot ? "  ? its parts differ" : "");
}

/* What is mirrored, by kind: what people look for first. */
static void by_kind(const struct space *space)
{
	char size[WORDS], text[512] = "Mirrored:";
	size_t n = strlen(text), before = n;

	for (int kind = 0; kind < HMM_VMA_KIND_NR; kind++) {
		uint64_t mirrored = 0;

		for (size_t i = 0; i < space->n; i++)
			if ((int)space->areas[i].kind == kind)
				mirrored += space->areas[i].sum.mirrored;
		if (mirrored)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s %s %s",
					      n > before ? "," : "", hmm_vma_kind_name(kind),
					      bytes_in_words(size, mirrored));
	}
	put_paragraph(2, "%s", n > before ? text : "Nothing is mirrored");
}

void space_print(const struct space *space)
{
	char size[WORDS], held[WORDS], name[NAME];
	struct fill sum = { 0 };
	int width = columns(stdout), room;
	const struct layout *l = choose(width);

	for (size_t i = 0; i < space->n; i++) {
		sum.present += space->areas[i].sum.present;
		sum.device += space->areas[i].sum.device;
	}
	put_paragraph(2, "%s, process %d: %zu areas, %s present, the device holds %s",
		      printable(name, sizeof(name), space->command), (int)space->pid, space->n,
		      bytes_in_words(size, sum.present), bytes_in_words(held, sum.device));
	by_kind(space);
	putchar('\n');
	title(l);
	room = width > taken(l) ? width - taken(l) : width;
	for (size_t i = 0; i < space->n; i++)
		row(&space->areas[i], l, room);
	legend(l);
	if (space->pages_hidden)
		put_paragraph(0, "No permission to see which pages of this process are present.");
}
