/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The parts of the SVG: places, colours, and the rows of areas (svg_area.c). */
#ifndef TOOLS_HMM_MAP_SVG_H
#define TOOLS_HMM_MAP_SVG_H

#include <stdio.h>

#include "space.h"

#define WIDTH 1176
#define ROW 26 /* from one to the next */
#define QUIET_ROW 15
#define STRIP_X 384
#define STRIP_MAX 400.0
#define STRIP_H 8
#define BAND_H 5
#define NAME_X 160
/* Right ends of the columns of numbers. */
enum { SIZE_X = 868, PRESENT_X = 962, MIRRORED_X = 1057, DEVICE_X = 1152 };

#define MIRROR_COLOUR "#4ade80"
#define DEVICE_COLOUR "#fb923c"
#define EMPTY_COLOUR "#1e293b"

struct svg_colours {
	const char *dense; /* huge pages */
	const char *light; /* 4K pages */
};
extern const struct svg_colours svg_colours[HMM_VMA_KIND_NR];

void svg_text(FILE *f, const char *s);
void svg_rect(FILE *f, double x, double y, double w, double h, const char *fill, double opacity);
void svg_label(FILE *f, double x, double y, const char *class, const char *s);
/* The columns of numbers. */
void svg_numbers(FILE *f, double y, uint64_t size, const struct fill *sum);
/* Behind what is mirrored, all across: it is seen from afar. */
void svg_highlight(FILE *f, double y);

void svg_area(FILE *f, const struct area *a, double y, bool pale);
/* One line for areas [from, to). */
void svg_quiet(FILE *f, const struct space *space, size_t from, size_t to, double y);

#endif
