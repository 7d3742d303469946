// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The closure of the includes: one set of bits for all files that include each other. */
#include "kbuild/closure.h"

#include <errno.h>
#include <stdlib.h>

/* Tarjan's strongly connected components; a component is complete after all it reaches. */
struct tarjan {
	struct includes *i;
	const uint32_t *file; /* by id */
	uint32_t *index, *low, *stack, *work, *edge;
	uint32_t n_stack, n_work, counter;
};

static int component(struct tarjan *t, uint32_t root)
{
	struct includes *i = t->i;
	size_t words = (i->n_ids + 63) / 64;
	uint64_t *bits = calloc(words, sizeof(*bits));
	uint32_t bottom = t->n_stack, v;

	if (!bits)
		return -ENOMEM;
	do {
		v = t->stack[--bottom];
		bits[v / 64] |= 1ull << (v % 64);
		i->closure[v] = bits;
		i->scc[v] = root;
	} while (v != root);
	for (uint32_t s = bottom; s < t->n_stack; s++) {
		uint32_t f = t->file[t->stack[s]];

		for (uint32_t e = i->first[f]; e < i->first[f + 1]; e++) {
			const uint64_t *other = i->closure[i->id[i->targets[e]]];

			for (size_t w = 0; other != bits && w < words; w++)
				bits[w] |= other[w];
		}
	}
	t->n_stack = bottom;
	return 0;
}

static int visit(struct tarjan *t, uint32_t start)
{
	struct includes *i = t->i;
	int err = 0;

	t->work[t->n_work++] = start;
	while (t->n_work && !err) {
		uint32_t v = t->work[t->n_work - 1], f = t->file[v];
		bool descended = false;

		if (!t->index[v]) {
			t->index[v] = t->low[v] = ++t->counter;
			t->stack[t->n_stack++] = v;
			t->edge[v] = i->first[f];
		}
		for (; t->edge[v] < i->first[f + 1] && !descended; t->edge[v] += !descended) {
			uint32_t w = i->id[i->targets[t->edge[v]]];

			if (!t->index[w]) {
				t->work[t->n_work++] = w;
				descended = true;
			} else if (!i->closure[w] && t->low[w] < t->low[v]) {
				t->low[v] = t->low[w];
			}
		}
		if (descended)
			continue;
		if (t->low[v] == t->index[v])
			err = component(t, v);
		t->n_work--;
	}
	return err;
}

int includes_close(struct includes *i)
{
	struct tarjan t = { .i = i };
	uint32_t *file = malloc((i->n_ids + 1) * sizeof(*file));
	uint32_t *scratch = calloc((size_t)i->n_ids * 6 + 6, sizeof(*scratch));
	int err = 0;

	i->closure = calloc(i->n_ids + 1, sizeof(*i->closure));
	i->scc = calloc(i->n_ids + 1, sizeof(*i->scc));
	if (!file || !scratch || !i->closure || !i->scc)
		err = -ENOMEM;
	for (uint32_t f = 0; !err && f < i->n_files; f++)
		if (i->id[f] != UINT32_MAX)
			file[i->id[f]] = f;
	t.file = file;
	t.index = scratch;
	t.low = scratch + i->n_ids;
	t.stack = scratch + 2 * (size_t)i->n_ids;
	t.edge = scratch + 3 * (size_t)i->n_ids;
	t.work = scratch + 4 * (size_t)i->n_ids;
	for (uint32_t v = 0; !err && v < i->n_ids; v++)
		if (!t.index[v])
			err = visit(&t, v);
	free(file);
	free(scratch);
	return err;
}

bool includes_sees(const struct includes *i, uint32_t f, uint32_t h)
{
	uint32_t want = i->id[h];

	if (f == h)
		return true;
	if (want == UINT32_MAX)
		return false;
	for (uint32_t e = i->first[f]; e < i->first[f + 1]; e++)
		if (i->closure[i->id[i->targets[e]]][want / 64] >> (want % 64) & 1)
			return true;
	return false;
}
