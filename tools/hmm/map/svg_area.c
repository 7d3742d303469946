// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../term.h"
#include "svg.h"

#define NAME_ROOM 31 /* characters */

const struct svg_colours svg_colours[HMM_VMA_KIND_NR] = {
	[HMM_VMA_HOLE] = { "#475569", "#475569" },    [HMM_VMA_ANON] = { "#3b82f6", "#93c5fd" },
	[HMM_VMA_HUGETLB] = { "#6366f1", "#a5b4fc" }, [HMM_VMA_SHMEM] = { "#c026d3", "#e879f9" },
	[HMM_VMA_SYSV] = { "#9d174d", "#f472b6" },    [HMM_VMA_FILE] = { "#0891b2", "#67e8f9" },
	[HMM_VMA_DAX] = { "#ca8a04", "#fde047" },     [HMM_VMA_SPECIAL] = { "#64748b", "#94a3b8" },
};

/* A name may hold any bytes; a document holds characters. */
void svg_text(FILE *f, const char *s)
{
	for (const char *next = s; *s; s = next) {
		int32_t c = next_character(&next);

		if (c < 0x20 || c == 0x7f || c == 0xfffe || c == 0xffff)
			fputs("\xef\xbf\xbd", f);
		else if (strchr("<>&\"", c) && c < 0x80)
			fprintf(f, "&#%d;", (int)c);
		else
			fwrite(s, 1, (size_t)(next - s), f);
	}
}

/* That a file is deleted only the tooltip says. */
static void short_name(FILE *f, const struct area *a)
{
	char *name = strdup(*a->name ? a->name : hmm_vma_kind_name(a->kind)),
	     room[4 * NAME_ROOM + 4];
	char *deleted = name ? strstr(name, " (deleted)") : NULL;

	if (deleted)
		*deleted = 0;
	if (name)
		svg_text(f, shorten(room, sizeof(room), name, NAME_ROOM, "\u2026"));
	free(name);
}

void svg_rect(FILE *f, double x, double y, double w, double h, const char *fill, double opacity)
{
	fprintf(f, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" fill=\"%s\"", x, y,
		w, h, fill);
	if (opacity < 1)
		fprintf(f, " fill-opacity=\"%.2f\"", opacity);
	fputs("/>\n", f);
}

void svg_label(FILE *f, double x, double y, const char *class, const char *s)
{
	fprintf(f, "<text x=\"%.0f\" y=\"%.1f\" class=\"%s\">%s</text>\n", x, y, class, s);
}

void svg_numbers(FILE *f, double y, uint64_t size, const struct fill *sum)
{
	char words[WORDS];

	svg_label(f, SIZE_X, y, "m e", bytes_in_words(words, size));
	if (sum->present)
		svg_label(f, PRESENT_X, y, "m e", bytes_in_words(words, sum->present));
	if (sum->mirrored)
		svg_label(f, MIRRORED_X, y, "m e g", bytes_in_words(words, sum->mirrored));
	if (sum->device)
		svg_label(f, DEVICE_X, y, "m e c", bytes_in_words(words, sum->device));
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
		return (struct look){ c->huge ? svg_colours[a->kind].dense
					      : svg_colours[a->kind].light,
				      share(c->present, cell) };
	return (struct look){ c->swapped ? "#f87171" : NULL, 0.6 };
}

static struct look look_of_mirror(const struct area *a, int i)
{
	return (struct look){ a->cells[i].mirrored ? MIRROR_COLOUR : NULL, 1 };
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
			svg_rect(f, STRIP_X + i * w, y, (next - i) * w, h, look.fill, look.opacity);
	}
}

void svg_highlight(FILE *f, double y)
{
	svg_rect(f, 12, y - 9, WIDTH - 24, ROW - 2, MIRROR_COLOUR, 0.13);
	svg_rect(f, 12, y - 9, 4, ROW - 2, MIRROR_COLOUR, 1);
}

static void title(FILE *f, const struct area *a)
{
	fprintf(f, "%012llx-%012llx %s ", (unsigned long long)a->start, (unsigned long long)a->end,
		a->prot);
	svg_text(f, *a->name ? a->name : hmm_vma_kind_name(a->kind));
}

void svg_area(FILE *f, const struct area *a, double y, bool pale)
{
	if (a->sum.mirrored)
		svg_highlight(f, y);
	fprintf(f, "<g%s><title>", pale ? " opacity=\"0.55\"" : "");
	title(f, a);
	fprintf(f, "</title>\n<text x=\"24\" y=\"%.1f\" class=\"m d\">%012llx</text>\n", y + 8,
		(unsigned long long)a->start);
	svg_rect(f, NAME_X - 18, y, 9, 9, svg_colours[a->kind].dense, 1);
	fprintf(f, "<text x=\"%d\" y=\"%.1f\">", NAME_X, y + 8);
	short_name(f, a);
	fputs("</text>\n", f);
	svg_rect(f, STRIP_X, y, strip_width(a), STRIP_H, EMPTY_COLOUR, 1);
	band(f, a, look_of_pages, y, STRIP_H);
	band(f, a, look_of_device, y - BAND_H - 1, BAND_H);
	band(f, a, look_of_mirror, y + STRIP_H + 1, BAND_H);
	svg_numbers(f, y + 8, a->end - a->start, &a->sum);
	fputs("</g>\n", f);
}

void svg_quiet(FILE *f, const struct space *space, size_t from, size_t to, double y)
{
	static const char *const names[] = { "inaccessible", "special", "others" };
	size_t counts[3] = { 0 };
	const char *between = "";

	for (size_t i = from; i < to; i++)
		counts[!strncmp(space->areas[i].prot, "---", 3)  ? 0
		       : space->areas[i].kind == HMM_VMA_SPECIAL ? 1
								 : 2]++;
	fputs("<g><title>", f);
	for (size_t i = from; i < to; i++, fputc('\n', f))
		title(f, &space->areas[i]);
	fputs("</title>\n", f);
	svg_rect(f, 24, y, 106, 1, "#334155", 1);
	svg_rect(f, STRIP_X, y, DEVICE_X - STRIP_X, 1, "#334155", 1);
	fprintf(f, "<text x=\"%d\" y=\"%.1f\" class=\"s\">", NAME_X, y + 4);
	for (size_t i = 0; i < 3; i++)
		if (counts[i]) {
			fprintf(f, "%s%zu %s", between, counts[i], names[i]);
			between = ", ";
		}
	fputs("</text></g>\n", f);
}
