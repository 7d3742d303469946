// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "bench.h"

double bench_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

double bench_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_percentile(double *values, size_t n, double percent)
{
	size_t at = (size_t)((double)(n - 1) * percent / 100 + 0.5);

	if (!n)
		return NAN;
	qsort(values, n, sizeof(*values), compare);
	return values[at];
}

int bench_interleave(const struct bench *b, bench_side ours, bench_side theirs, void *arg,
		     struct bench_row *row)
{
	double *mine = calloc(b->rounds, sizeof(*mine)), *base = calloc(b->rounds, sizeof(*base));
	int ret = mine && base ? 0 : -ENOMEM;

	/* A round of each before, not counted: neither side pays for the first touch of anything.
	 */
	if (!ret && (isnan(ours(arg)) || isnan(theirs(arg))))
		ret = -EIO;
	for (unsigned int i = 0; i < b->rounds && !ret; i++) {
		if (i & 1) {
			base[i] = theirs(arg);
			mine[i] = ours(arg);
		} else {
			mine[i] = ours(arg);
			base[i] = theirs(arg);
		}
		if (isnan(mine[i]) || isnan(base[i]))
			ret = -EIO;
	}
	if (!ret) {
		row->value = bench_percentile(mine, b->rounds, 50);
		row->baseline = bench_percentile(base, b->rounds, 50);
	}
	free(mine);
	free(base);
	return ret;
}
