// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdio.h>
#include <string.h>

#include "suggest.h"

#define LONGEST 31

struct suggestion suggest(const char *typed)
{
	return (struct suggestion){ .typed = typed, .length = strlen(typed), .distance = 3 };
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How many letters must be put in, left out, changed or swapped with the next. */
static size_t distance(const char *a, size_t n, const char *b, size_t m)
{
	size_t d[LONGEST + 1][LONGEST + 1];

	for (size_t i = 0; i <= n; i++)
		for (size_t j = 0; j <= m; j++) {
			if (!i || !j) {
				d[i][j] = i + j;
				continue;
			}
			d[i][j] = least(d[i - 1][j - 1] + (a[i - 1] != b[j - 1]),
					1 + least(d[i - 1][j], d[i][j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
		}
	return d[n][m];
}

void suggest_one(struct suggestion *s, const char *name)
{
	size_t m = strlen(name), d;

	if (s->length > LONGEST || m > LONGEST)
		return;
	d = distance(s->typed, s->length, name, m);
	/* Of a short name something must be left. */
	if (d < s->distance && d < s->length && d < m) {
		s->distance = d;
		s->best = name;
	}
}

const char *did_you_mean(char *out, const struct suggestion *s, const char *dashes)
{
	*out = 0;
	if (s->best)
		snprintf(out, 64, " (did you mean '%s%s'?)", dashes, s->best);
	return out;
}
