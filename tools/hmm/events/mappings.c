// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Names of mappings. When an event is read the mapping may be gone, and another may be in its
 * place. So the list is what is mapped at the point that the reader of the log has come to:
 *
 *	- An address that is not in it makes us look. The look is of now, which is later: so all
 *	  records that were written until then are fetched, and what they unmap is left out of it.
 *	- When the end of an unmapping is read, its range is cut out.
 *
 * A mapping that came and went between two looks has no name here. None gets that of another.
 */
#include "events.h"

#include <stdlib.h>
#include <string.h>

static size_t first_above(const struct mappings *m, uint64_t address)
{
	size_t low = 0, high = m->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (m->list[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void drop_all(struct mappings *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->list[i].name);
	m->n = 0;
}

static bool insert(struct mappings *m, size_t at, uint64_t start, uint64_t end, const char *name)
{
	struct mapping *more;
	char *copy;

	if (m->n == m->room) {
		more = realloc(m->list, (m->room * 2 + 64) * sizeof(*more));
		if (!more)
			return false;
		m->list = more;
		m->room = m->room * 2 + 64;
	}
	copy = strdup(name);
	if (!copy)
		return false;
	memmove(&m->list[at + 1], &m->list[at], (m->n - at) * sizeof(*m->list));
	m->list[at].start = start;
	m->list[at].end = end;
	m->list[at].name = copy;
	m->n++;
	return true;
}

/* A line of /proc/PID/maps. Memory without a name has none there. */
static bool take(struct mappings *m, char *line)
{
	unsigned long long start, end;
	int name = 0;

	line[strcspn(line, "\n")] = 0;
	if (sscanf(line, "%llx-%llx %*s %*s %*s %*s %n", &start, &end, &name) != 2 || !name)
		return true;
	return insert(m, m->n, start, end, line + name);
}

bool mappings_look(struct mappings *m)
{
	char path[64], *line = NULL;
	size_t size = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)m->pid);
	f = fopen(path, "re");
	while (f && getline(&line, &size, f) > 0 && take(m, line))
		;
	if (f)
		fclose(f);
	free(line);
	return m->n;
}

const char *mappings_name(const struct mappings *m, uint64_t start, uint64_t end)
{
	size_t i = first_above(m, start);

	return i < m->n && m->list[i].start < end ? m->list[i].name : NULL;
}

/* What of [start, end) is in none of the list. Of several holes the first. */
static void fill(struct mappings *m, uint64_t start, uint64_t end, const char *name)
{
	size_t i = first_above(m, start);

	if (i < m->n && m->list[i].start <= start)
		return;
	if (i < m->n && m->list[i].start < end)
		end = m->list[i].start;
	insert(m, i, start, end, name);
}

bool mappings_ends(const struct watch_record *r)
{
	return r->flags & WATCH_END && (r->kind == WATCH_UNMAP || r->kind == WATCH_MOVE);
}

void mappings_replace(struct mappings *m, struct mappings *seen, const struct watch_record *later,
		      size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (mappings_ends(&later[i]))
			mappings_cut(seen, later[i].start, later[i].end);
	/* There the list that we had is right. */
	for (size_t i = 0; i < n; i++) {
		const struct watch_record *r = &later[i];

		for (size_t k = mappings_ends(r) ? first_above(m, r->start) : m->n;
		     k < m->n && m->list[k].start < r->end; k++) {
			const struct mapping *had = &m->list[k];

			fill(seen, had->start > r->start ? had->start : r->start,
			     had->end < r->end ? had->end : r->end, had->name);
		}
	}
	mappings_free(m);
	*m = *seen;
}

void mappings_cut(struct mappings *m, uint64_t start, uint64_t end)
{
	size_t i = first_above(m, start), from, to;

	/* A mapping in whose midst it lies becomes two. */
	if (i < m->n && m->list[i].start < start && m->list[i].end > end) {
		if (insert(m, i + 1, end, m->list[i].end, m->list[i].name))
			m->list[i].end = start;
		return;
	}
	if (i < m->n && m->list[i].start < start)
		m->list[i++].end = start;
	for (from = to = i; to < m->n && m->list[to].end <= end; to++)
		free(m->list[to].name);
	memmove(&m->list[from], &m->list[to], (m->n - to) * sizeof(*m->list));
	m->n -= to - from;
	if (from < m->n && m->list[from].start < end)
		m->list[from].start = end;
}

void mappings_free(struct mappings *m)
{
	drop_all(m);
	free(m->list);
	*m = (struct mappings){ .pid = m->pid };
}
