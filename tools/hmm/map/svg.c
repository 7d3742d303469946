// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The picture as SVG: a strip an area, longer for larger ones, with the device's share above. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../term.h"
#include "space.h"

#define WIDTH 1080
#define TOP 124
#define ROW 26
#define STRIP_X 372
#define STRIP_MAX 430.0
#define STRIP_H 9
#define DEVICE_H 5
#define ROWS_MAX 160

static const struct {
	const char *dense; /* huge pages */
	const char *light; /* 4K pages */
} colours[HMM_VMA_KIND_NR] = {
	[HMM_VMA_HOLE] = { "#475569", "#475569" },    [HMM_VMA_ANON] = { "#3b82f6", "#93c5fd" },
	[HMM_VMA_HUGETLB] = { "#6366f1", "#a5b4fc" }, [HMM_VMA_SHMEM] = { "#c026d3", "#e879f9" },
	[HMM_VMA_SYSV] = { "#9d174d", "#f472b6" },    [HMM_VMA_FILE] = { "#0d9488", "#5eead4" },
	[HMM_VMA_DAX] = { "#ca8a04", "#fde047" },     [HMM_VMA_SPECIAL] = { "#64748b", "#94a3b8" },
};

#define DEVICE_COLOUR "#fb923c"

static void text(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '<')
			fputs("&lt;", f);
		else if (*s == '>')
			fputs("&gt;", f);
		else if (*s == '&')
			fputs("&amp;", f);
		else if (*s == '"')
			fputs("&quot;", f);
		else if ((unsigned char)*s >= 0x20)
			fputc(*s, f);
	}
}

static void rect(FILE *f, double x, double y, double w, double h, const char *fill, double opacity)
{
	fprintf(f, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" fill=\"%s\"", x, y,
		w, h, fill);
	if (opacity < 1)
		fprintf(f, " fill-opacity=\"%.2f\"", opacity);
	fputs("/>\n", f);
}

/* A page is 40 units long, each doubling a step more: 4 KiB and 1 TiB fit in one picture. */
static double strip_width(const struct area *a)
{
	double steps = log2((double)(a->end - a->start) / 4096);

	return fmin(STRIP_MAX, 40 + steps * (STRIP_MAX - 40) / 20);
}

struct look {
	const char *fill; /* NULL: nothing to draw */
	double opacity;
};

static double share(uint64_t part, uint64_t cell)
{
	/* In tenths: neighbours that hardly differ become one rectangle. */
	return cell && part < cell ? 0.35 + 0.65 * round(10 * (double)part / (double)cell) / 10 : 1;
}

static struct look look_of_pages(const struct area *a, int i)
{
	const struct fill *c = &a->cells[i];
	uint64_t cell = (a->end - a->start) / CELLS;

	if (c->present)
		return (struct look){ c->huge ? colours[a->kind].dense : colours[a->kind].light,
				      share(c->present, cell) };
	return (struct look){ c->swapped ? "#f87171" : NULL, 0.6 };
}

static struct look look_of_device(const struct area *a, int i)
{
	const struct fill *c = &a->cells[i];

	return (struct look){ c->device ? DEVICE_COLOUR : NULL,
			      share(c->device, (a->end - a->start) / CELLS) };
}

/* Cells that look the same are drawn as one. */
static void band(FILE *f, const struct area *a, struct look (*look_of)(const struct area *, int),
		 double y, double h)
{
	double w = strip_width(a) / CELLS;

	for (int i = 0, next; i < CELLS; i = next) {
		struct look look = look_of(a, i), other;

		for (next = i + 1; next < CELLS; next++) {
			other = look_of(a, next);
			if (other.fill != look.fill || (look.fill && other.opacity != look.opacity))
				break;
		}
		if (look.fill)
			rect(f, STRIP_X + i * w, y, (next - i) * w, h, look.fill, look.opacity);
	}
}

static void strip(FILE *f, const struct area *a, double y)
{
	double width = strip_width(a);

	rect(f, STRIP_X, y, width, STRIP_H, "#1e293b", 1);
	band(f, a, look_of_pages, y, STRIP_H);
	band(f, a, look_of_device, y - DEVICE_H - 1, DEVICE_H);
	if (a->registered)
		fprintf(f,
			"<rect x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"none\" "
			"stroke=\"#e2e8f0\" "
			"stroke-width=\"0.8\"/>\n",
			STRIP_X, y, width, STRIP_H);
}

static void row(FILE *f, const struct area *a, double y)
{
	char size[WORDS], held[WORDS];
	const char *slash = strrchr(a->name, '/'), *name = slash && slash[1] ? slash + 1 : a->name;
	size_t length = strlen(name);

	fprintf(f, "<g><title>%012llx-%012llx %s ", (unsigned long long)a->start,
		(unsigned long long)a->end, a->prot);
	text(f, a->name);
	fprintf(f, "</title>\n<text x=\"24\" y=\"%.1f\" class=\"m d\">%012llx</text>\n", y + 9,
		(unsigned long long)a->start & 0xffffffffffffULL);
	rect(f, 128, y + 1, 8, 8, colours[a->kind].dense, 1);
	fprintf(f, "<text x=\"143\" y=\"%.1f\">", y + 9);
	text(f, *name ? (length > 30 ? name + length - 30 : name) : hmm_vma_kind_name(a->kind));
	fputs("</text>\n", f);
	strip(f, a, y);
	fprintf(f, "<text x=\"880\" y=\"%.1f\" class=\"m e\">%s</text>\n", y + 9,
		bytes_in_words(size, a->end - a->start));
	if (a->sum.present)
		fprintf(f, "<text x=\"968\" y=\"%.1f\" class=\"m e\">%s</text>\n", y + 9,
			bytes_in_words(size, a->sum.present));
	if (a->sum.device)
		fprintf(f, "<text x=\"1056\" y=\"%.1f\" class=\"m e c\">%s</text>\n", y + 9,
			bytes_in_words(held, a->sum.device));
	fputs("</g>\n", f);
}

/* What is present, by kind, as one bar across. */
static void totals(FILE *f, const struct space *space)
{
	uint64_t by_kind[HMM_VMA_KIND_NR] = { 0 }, present = 0;
	double x = 24;

	for (size_t i = 0; i < space->n; i++) {
		by_kind[space->areas[i].kind] += space->areas[i].sum.present;
		present += space->areas[i].sum.present;
	}
	for (int kind = 0; kind < HMM_VMA_KIND_NR && present; kind++) {
		double w = (WIDTH - 48.0) * (double)by_kind[kind] / (double)present;

		if (by_kind[kind])
			rect(f, x, 58, w, 10, colours[kind].dense, 1);
		x += w;
	}
	x = 24;
	for (int kind = 0; kind < HMM_VMA_KIND_NR; kind++) {
		char size[WORDS];

		if (!by_kind[kind])
			continue;
		rect(f, x, 78, 9, 9, colours[kind].dense, 1);
		fprintf(f, "<text x=\"%.0f\" y=\"86\">%s %s</text>\n", x + 14,
			hmm_vma_kind_name(kind), bytes_in_words(size, by_kind[kind]));
		x += 150;
	}
}

static void head(FILE *f, const struct space *space, int height)
{
	char present[WORDS], held[WORDS];
	struct fill sum = { 0 };

	for (size_t i = 0; i < space->n; i++) {
		sum.present += space->areas[i].sum.present;
		sum.device += space->areas[i].sum.device;
	}
	fprintf(f,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 "
		"0 %d %d\">\n"
		"<style>text{font:12px "
		"sans-serif;fill:#cbd5e1}.m{font-family:monospace;font-size:11px}"
		".d{fill:#64748b}.e{text-anchor:end}.h{font-size:18px;fill:#f8fafc}.c{"
		"fill:" DEVICE_COLOUR
		"}</style>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#0f172a\"/>\n",
		WIDTH, height, WIDTH, height);
	fputs("<text x=\"24\" y=\"38\" class=\"h\">", f);
	text(f, space->command);
	fprintf(f, " <tspan class=\"d\">process %d</tspan></text>\n", (int)space->pid);
	fprintf(f,
		"<text x=\"1056\" y=\"38\" class=\"e\">%s present, the device holds <tspan "
		"class=\"c\">%s</tspan>"
		"</text>\n",
		bytes_in_words(present, sum.present), bytes_in_words(held, sum.device));
	totals(f, space);
	fprintf(f,
		"<g class=\"d\"><text x=\"24\" y=\"%d\" class=\"d\">start</text><text x=\"143\" "
		"y=\"%d\" "
		"class=\"d\">mapping</text><text x=\"%d\" y=\"%d\" class=\"d\">pages (length: log "
		"of the size)"
		"</text><text x=\"880\" y=\"%d\" class=\"d e\">size</text><text x=\"968\" y=\"%d\" "
		"class=\"d e\">present</text><text x=\"1056\" y=\"%d\" class=\"d "
		"e\">device</text></g>\n",
		TOP - 14, TOP - 14, STRIP_X, TOP - 14, TOP - 14, TOP - 14, TOP - 14);
}

static void legend(FILE *f, double y)
{
	rect(f, 24, y, 18, 9, "#93c5fd", 1);
	fprintf(f, "<text x=\"48\" y=\"%.1f\">4K pages</text>\n", y + 9);
	rect(f, 124, y, 18, 9, "#3b82f6", 1);
	fprintf(f, "<text x=\"148\" y=\"%.1f\">huge pages</text>\n", y + 9);
	rect(f, 240, y, 18, 9, "#1e293b", 1);
	fprintf(f, "<text x=\"264\" y=\"%.1f\">not present</text>\n", y + 9);
	rect(f, 358, y + 2, 18, DEVICE_H, DEVICE_COLOUR, 1);
	fprintf(f, "<text x=\"382\" y=\"%.1f\">the device holds it</text>\n", y + 9);
	fprintf(f,
		"<rect x=\"520\" y=\"%.1f\" width=\"18\" height=\"9\" fill=\"#1e293b\" "
		"stroke=\"#e2e8f0\" "
		"stroke-width=\"0.8\"/><text x=\"544\" y=\"%.1f\">mirrored</text>\n",
		y, y + 9);
}

static int compare_present(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x < y) - (x > y);
}

/* Where there are too many areas: the least presence that gets a row; what the device holds does anyway. */
static uint64_t least_present(const struct space *space)
{
	uint64_t *present = space->n > ROWS_MAX ? calloc(space->n, sizeof(*present)) : NULL, least;

	if (!present)
		return 0;
	for (size_t i = 0; i < space->n; i++)
		present[i] = space->areas[i].sum.present;
	qsort(present, space->n, sizeof(*present), compare_present);
	least = present[ROWS_MAX / 2];
	free(present);
	return least;
}

static bool worth_a_row(const struct area *a, uint64_t least)
{
	return a->sum.present >= least || a->sum.device;
}

static size_t count_rows(const struct space *space, uint64_t least)
{
	size_t rows = 0;

	for (size_t i = 0; i < space->n && rows < ROWS_MAX; i++)
		rows += worth_a_row(&space->areas[i], least);
	return rows;
}

int space_svg(const struct space *space, const char *path)
{
	uint64_t least = least_present(space);
	size_t rows = count_rows(space, least), drawn = 0;
	int height = TOP + (int)rows * ROW + 44, bad;
	FILE *f = fopen(path, "we");

	if (!f)
		return -errno;
	head(f, space, height);
	for (size_t i = 0; i < space->n && drawn < rows; i++)
		if (worth_a_row(&space->areas[i], least))
			row(f, &space->areas[i], TOP + (double)drawn++ * ROW);
	legend(f, height - 28);
	if (rows < space->n)
		fprintf(f, "<text x=\"1056\" y=\"%d\" class=\"d e\">%zu more areas</text>\n",
			height - 19, space->n - rows);
	fputs("</svg>\n", f);
	bad = ferror(f);
	return fclose(f) || bad ? -EIO : 0;
}
