// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "events.h"

#include <stdlib.h>
#include <string.h>

static void add(struct count *c, uint64_t bytes)
{
	c->events++;
	c->bytes += bytes;
	if (bytes > c->largest)
		c->largest = bytes;
}

/* Where the name is, or would be: rows are in the order of their names. */
static size_t place(const struct table *t, const char *name, bool *there)
{
	size_t low = 0, high = t->n;

	*there = false;
	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strcmp(t->rows[middle].name, name);

		if (!order) {
			*there = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool insert(struct table *t, size_t at, const char *name)
{
	struct count *more;
	char *copy;

	if (t->n == TABLE_MAX)
		return false;
	if (t->n == t->room) {
		more = realloc(t->rows, (t->room * 2 + 16) * sizeof(*more));
		if (!more)
			return false;
		t->rows = more;
		t->room = t->room * 2 + 16;
	}
	copy = strdup(name);
	if (!copy)
		return false;
	memmove(&t->rows[at + 1], &t->rows[at], (t->n - at) * sizeof(*t->rows));
	t->rows[at] = (struct count){ .name = copy };
	t->n++;
	return true;
}

void table_add(struct table *t, const char *name, uint64_t bytes)
{
	bool there;
	size_t at = place(t, name, &there);

	if (there || insert(t, at, name))
		add(&t->rows[at], bytes);
	else
		add(&t->others, bytes);
}

static int more_first(const void *a, const void *b)
{
	const struct count *x = a, *y = b;

	if (x->events != y->events)
		return x->events < y->events ? 1 : -1;
	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return strcmp(x->name, y->name);
}

void table_sort(struct table *t)
{
	if (t->n)
		qsort(t->rows, t->n, sizeof(*t->rows), more_first);
}

void table_free(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->rows[i].name);
	free(t->rows);
	memset(t, 0, sizeof(*t));
}
