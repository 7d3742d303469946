// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The picture as SVG. A strip an area, longer for larger ones: in the middle its pages in the
 * colour of its kind, below them what is mirrored, above them what the device holds. First the
 * same by kind, as shares. What is not mirrored is pale, and what holds nothing to see (guards,
 * stacks, the kernel's own) is one line a run.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../term.h"
#include "svg.h"

#define ROWS_MAX 160

struct kind_sum {
	uint64_t size; /* what is accessible */
	struct fill sum;
};

static void part(FILE *f, double y, double h, uint64_t bytes, uint64_t size, const char *fill)
{
	if (bytes)
		svg_rect(f, STRIP_X, y, fmax(2, STRIP_MAX * (double)bytes / (double)size), h, fill,
			 1);
}

/*
 * The same for all areas of a kind together, as shares of what is mapped of it. Returns where it
 * ends.
 */
static double by_kind(FILE *f, const struct space *space, double y)
{
	struct kind_sum kinds[HMM_VMA_KIND_NR] = { 0 };

	for (size_t i = 0; i < space->n; i++) {
		const struct area *a = &space->areas[i];
		struct kind_sum *k = &kinds[a->kind];

		k->size += strncmp(a->prot, "---", 3) ? a->end - a->start : 0;
		k->sum.present += a->sum.present;
		k->sum.mirrored += a->sum.mirrored;
		k->sum.device += a->sum.device;
	}
	for (int kind = 0; kind < HMM_VMA_SPECIAL; kind++) {
		const struct kind_sum *k = &kinds[kind];

		if (!k->size)
			continue;
		if (k->sum.mirrored)
			svg_highlight(f, y);
		svg_rect(f, NAME_X - 18, y, 9, 9, svg_colours[kind].dense, 1);
		svg_label(f, NAME_X, y + 8, "", hmm_vma_kind_name((enum hmm_vma_kind)kind));
		svg_rect(f, STRIP_X, y, STRIP_MAX, STRIP_H, EMPTY_COLOUR, 1);
		part(f, y, STRIP_H, k->sum.present, k->size, svg_colours[kind].light);
		part(f, y, STRIP_H, k->sum.huge, k->size, svg_colours[kind].dense);
		part(f, y - BAND_H - 1, BAND_H, k->sum.device, k->size, DEVICE_COLOUR);
		part(f, y + STRIP_H + 1, BAND_H, k->sum.mirrored, k->size, MIRROR_COLOUR);
		svg_numbers(f, y + 8, k->size, &k->sum);
		y += ROW;
	}
	return y;
}

static void titles(FILE *f, double y, const char *mapping, const char *strip)
{
	svg_label(f, NAME_X, y, "d", mapping);
	svg_label(f, STRIP_X, y, "d", strip);
	svg_label(f, SIZE_X, y, "d e", "size");
	svg_label(f, PRESENT_X, y, "d e", "present");
	svg_label(f, MIRRORED_X, y, "g e", "mirrored");
	svg_label(f, DEVICE_X, y, "c e", "device holds");
}

static void legend(FILE *f, double y)
{
	static const struct {
		double x, y, h;
		const char *fill, *words;
	} parts[] = {
		{ 24, 1, STRIP_H, "#93c5fd", "4K pages" },
		{ 118, 1, STRIP_H, "#3b82f6", "huge pages" },
		{ 224, 1, STRIP_H, EMPTY_COLOUR, "not present" },
		{ 332, 2, BAND_H, MIRROR_COLOUR, "below: mirrored" },
		{ 464, 2, BAND_H, DEVICE_COLOUR, "above: the device holds it" },
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		svg_rect(f, parts[i].x, y + parts[i].y, 18, parts[i].h, parts[i].fill, 1);
		svg_label(f, parts[i].x + 24, y + 9, "", parts[i].words);
	}
}

static void head(FILE *f, const struct space *space, int height)
{
	fprintf(f,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"viewBox=\"0 0 %d %d\">\n"
		"<style>text{font:12px sans-serif;fill:#cbd5e1}"
		".m{font-family:monospace;font-size:11px}.d{fill:#94a3b8}.e{text-anchor:end}"
		".h{font-size:18px;fill:#f8fafc}.s{font-size:10px;fill:#64748b}"
		".c{fill:" DEVICE_COLOUR "}.g{fill:" MIRROR_COLOUR "}</style>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#0f172a\"/>\n"
		"<text x=\"24\" y=\"34\" class=\"h\">",
		WIDTH, height, WIDTH, height);
	svg_text(f, space->command);
	fprintf(f, " <tspan class=\"d\">process %d</tspan></text>\n", (int)space->pid);
	legend(f, 50);
}

static int compare_present(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x < y) - (x > y);
}

/*
 * Where there are too many areas: the least presence that gets a row; what is mirrored does
 * anyway.
 */
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

static bool worth_a_row(const struct space *space, size_t i, uint64_t least)
{
	const struct area *a = &space->areas[i];

	return a->sum.mirrored || a->sum.device ||
	       (!area_is_quiet(space, i) && a->sum.present >= least);
}

/* Returns where it ends. */
static double rows(FILE *f, const struct space *space, double y)
{
	uint64_t least = least_present(space);
	bool pale = space->n_spans;

	for (size_t i = 0, from; i < space->n;) {
		for (from = i; i < space->n && !worth_a_row(space, i, least); i++)
			;
		if (i > from) {
			svg_quiet(f, space, from, i, y - 2);
			y += QUIET_ROW;
		}
		if (i == space->n)
			break;
		svg_area(f, &space->areas[i], y, pale && !space->areas[i].sum.mirrored);
		y += ROW;
		i++;
	}
	return y;
}

/* All below the head; returns the height of the picture. */
static int draw_body(FILE *f, const struct space *space)
{
	double y = 102;

	titles(f, y - 16, "by kind", "share of what is mapped");
	y = by_kind(f, space, y) + 34;
	titles(f, y - 16, "mapping", "pages (length: log of the size)");
	svg_label(f, 24, y - 16, "d", "start");
	y = rows(f, space, y);
	if (space->pages_hidden)
		svg_label(f, 24, y + 12, "d",
			  "No permission to see which pages of this process are present.");
	return (int)y + 24;
}

static int write_file(const char *path, const char *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), ret = 0;

	if (fd < 0)
		return -errno;
	for (size_t done = 0; done < size && !ret;) {
		ssize_t n = write(fd, data + done, size - done);

		if (n < 0)
			ret = -errno;
		else
			done += (size_t)n;
	}
	return close(fd) && !ret ? -errno : ret;
}

int space_svg(const struct space *space, const char *path)
{
	char *body = NULL, *all = NULL;
	size_t body_size = 0, size = 0;
	FILE *f = open_memstream(&body, &body_size);
	int height = 0, ret = -ENOMEM;

	if (f) {
		height = draw_body(f, space);
		if (fclose(f))
			goto out;
	}
	f = f ? open_memstream(&all, &size) : NULL;
	if (f) {
		head(f, space, height);
		fwrite(body, 1, body_size, f);
		fputs("</svg>\n", f);
		if (!fclose(f))
			ret = write_file(path, all, size);
	}
out:
	free(body);
	free(all);
	return ret;
}
