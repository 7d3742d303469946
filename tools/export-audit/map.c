// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Linker version scripts. */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "map.h"

#define SIZE_LIMIT (16u << 20)

struct reader {
	const char *p, *end;
	uint32_t line;
	struct map *map;
	char *node;
	bool global;
};

/* Next token: a name or pattern, one of "{};:", or an empty one at the end. */
static size_t token(struct reader *r, const char **s)
{
	static const char single[] = "{};:";

	while (r->p < r->end) {
		if (*r->p == '#' || (r->end - r->p > 1 && r->p[0] == '/' && r->p[1] == '/')) {
			while (r->p < r->end && *r->p != '\n')
				r->p++;
		} else if (r->end - r->p > 1 && r->p[0] == '/' && r->p[1] == '*') {
			const char *close = memmem(r->p + 2, (size_t)(r->end - r->p - 2), "*/", 2);

			for (close = close ? close + 2 : r->end; r->p < close; r->p++)
				r->line += *r->p == '\n';
		} else if (strchr(" \t\r\n", *r->p)) {
			r->line += *r->p++ == '\n';
		} else {
			break;
		}
	}
	*s = r->p;
	if (r->p < r->end && strchr(single, *r->p) && *r->p)
		r->p++;
	else
		while (r->p < r->end && !strchr(" \t\r\n{};:#", *r->p))
			r->p++;
	return (size_t)(r->p - *s);
}

static int add(struct reader *r, const char *s, size_t n)
{
	struct map *m = r->map;
	struct map_symbol *grown;

	for (size_t i = 0; i < n; i++)
		if (strchr("*?[\"", s[i]))
			return -ENOTSUP;
	for (size_t i = 0; i < m->n; i++)
		if (!strncmp(m->symbols[i].name, s, n) && !m->symbols[i].name[n])
			return -EEXIST;
	if (!(m->n & (m->n - 1))) {
		grown = realloc(m->symbols, (m->n ? m->n * 2 : 1) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		m->symbols = grown;
	}
	m->symbols[m->n] =
		(struct map_symbol){ strndup(s, n), strdup(r->node ? r->node : ""), r->line };
	return m->symbols[m->n].name && m->symbols[m->n++].node ? 0 : -ENOMEM;
}

/* Inside the braces of a node. */
static int node(struct reader *r)
{
	const char *s;
	size_t n;
	int err = 0;

	r->global = true;
	while (!err && (n = token(r, &s)) && *s != '}') {
		struct reader ahead = *r;
		const char *next;

		if (*s == ';')
			continue;
		if (*s == '{' || *s == ':')
			return -EINVAL;
		token(&ahead, &next);
		if (next < r->end && *next == ':') {
			r->global = n == 6 && !memcmp(s, "global", 6);
			if (!r->global && (n != 5 || memcmp(s, "local", 5)))
				return -EINVAL;
			r->p = ahead.p;
			r->line = ahead.line;
		} else if (r->global) {
			err = add(r, s, n);
		}
	}
	if (!err && !n)
		return -EINVAL;
	return err;
}

static int nodes(struct reader *r)
{
	const char *s;
	size_t n;
	int err = 0, seen = 0;

	while (!err && (n = token(r, &s))) {
		r->node = NULL;
		if (*s != '{') {
			r->node = strndup(s, n);
			if (!r->node)
				return -ENOMEM;
			n = token(r, &s);
		}
		err = n && *s == '{' ? node(r) : -EINVAL;
		free(r->node);
		seen++;
		while (!err && (n = token(r, &s)) && *s != ';') /* the node it follows */
			if (*s == '{' || *s == '}')
				err = -EINVAL;
	}
	return err ? err : seen ? 0 : -EINVAL;
}

int map_read(const char *path, struct map *out, uint32_t *line)
{
	FILE *f = fopen(path, "re");
	char *text = malloc(SIZE_LIMIT);
	struct reader r = { .map = out, .line = 1 };
	size_t n;
	int err;

	*out = (struct map){ 0 };
	*line = 0;
	if (!f || !text) {
		err = f ? -ENOMEM : -errno;
		free(text);
		if (f)
			fclose(f);
		return err;
	}
	n = fread(text, 1, SIZE_LIMIT, f);
	err = ferror(f) ? -EISDIR : n == SIZE_LIMIT || memchr(text, 0, n) ? -EINVAL : 0;
	fclose(f);
	r.p = text;
	r.end = text + n;
	err = err ? err : nodes(&r);
	*line = r.line;
	free(text);
	if (err)
		map_fini(out);
	return err;
}

void map_fini(struct map *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->symbols[i].name);
		free(m->symbols[i].node);
	}
	free(m->symbols);
	*m = (struct map){ 0 };
}
