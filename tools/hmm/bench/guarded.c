// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Guarded copies of memory that is there, against memcpy() of the same. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define LARGEST (64UL << 10)
#define BYTES (64UL << 20) /* copied for one value, but no more than: */
#define TIMES 1000000UL

struct copy {
	char *from;
	char *to;
	size_t len;
};

/* By way of a pointer, so that the compiler cannot know what it does. */
static void *(*volatile plain_copy)(void *dst, const void *src, size_t len) = memcpy;

static unsigned long times(const struct copy *c)
{
	return BYTES / c->len < TIMES ? BYTES / c->len : TIMES;
}

static double ours(void *arg)
{
	const struct copy *c = arg;
	const double begin = bench_now_ns();

	for (unsigned long i = 0; i < times(c); i++)
		if (hmm_copy_from_nofault(c->to, c->from, c->len, NULL))
			return NAN;
	return (bench_now_ns() - begin) / (double)times(c);
}

static double theirs(void *arg)
{
	const struct copy *c = arg;
	const double begin = bench_now_ns();

	for (unsigned long i = 0; i < times(c); i++)
		plain_copy(c->to, c->from, c->len);
	return (bench_now_ns() - begin) / (double)times(c);
}

static const struct {
	const char *name, *note;
	size_t len;
	double target, slack;
} figures[] = {
	{ "guarded-copy-64B", "hmm_copy_from_nofault(), memcpy()", 64, 4, 10 },
	{ "guarded-copy-64KiB", "hmm_copy_from_nofault(), memcpy()", LARGEST, 1.5, 0 },
};

int bench_guarded(struct bench *b)
{
	struct copy c = { calloc(1, LARGEST), calloc(1, LARGEST), 0 };
	int ret = c.from && c.to ? 0 : -ENOMEM;

	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]) && !ret; i++) {
		struct bench_row row = { .unit = "ns",
					 .target = figures[i].target,
					 .slack = figures[i].slack };

		snprintf(row.name, sizeof(row.name), "%s", figures[i].name);
		snprintf(row.note, sizeof(row.note), "%s", figures[i].note);
		c.len = figures[i].len;
		ret = bench_interleave(b, ours, theirs, &c, &row);
		if (!ret)
			bench_add(b, &row);
	}
	free(c.from);
	free(c.to);
	return ret;
}
