// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Linker version scripts. */
#include "own/map.h"
#include "git/reader.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static bool same(const struct map_symbol *m, const char *s, size_t n, const char *node)
{
	return !strncmp(m->name, s, n) && !m->name[n] && !strcmp(m->node, node);
}

/* A copy in which "@SOMETHING@", which a build fills in, is a "*". */
static char *filled(const char *s, size_t n)
{
	char *out = malloc(n + 1), *o = out;

	for (size_t i = 0; out && i < n; i++) {
		const char *close = s[i] == '@' ? memchr(s + i + 1, '@', n - i - 1) : NULL;

		*o++ = close ? '*' : s[i];
		if (close)
			i = (size_t)(close - s);
	}
	if (out)
		*o = 0;
	return out;
}

static int append(struct reader *r, char *name, enum map_kind kind)
{
	struct map *m = r->map;
	struct map_symbol *grown;
	char *node = strdup(r->node ? r->node : "");

	if (!(m->n & (m->n - 1))) {
		grown = realloc(m->symbols, (m->n ? m->n * 2 : 1) * sizeof(*grown));
		if (grown)
			m->symbols = grown;
		if (!grown)
			goto fail;
	}
	if (!node)
		goto fail;
	m->symbols[m->n++] = (struct map_symbol){ name, node, r->line, kind, !r->global };
	return 0;
fail:
	free(name);
	free(node);
	return -ENOMEM;
}

static int add(struct reader *r, const char *s, size_t n, bool cxx)
{
	enum map_kind kind = cxx ? MAP_CXX : MAP_NAME;
	char *name = filled(s, n);

	if (!name)
		return -ENOMEM;
	if (!strcmp(name, "*") && (!r->global || *s == '@')) {
		free(name);
		return 0; /* "local: *", or a list that only the build knows */
	}
	if (!cxx && strpbrk(name, "*?["))
		kind = MAP_PATTERN;
	for (size_t i = 0; r->global && i < r->map->n; i++)
		if (same(&r->map->symbols[i], name, strlen(name), r->node ? r->node : "")) {
			free(name);
			return -EEXIST;
		}
	return append(r, name, kind);
}

/* One name in extern "C" or "C++" { }: in quotes, or up to the semicolon. */
static int add_foreign(struct reader *r, bool cxx)
{
	const char *s = r->p, *end;

	if (*s == '"') {
		end = memchr(s + 1, '"', (size_t)(r->end - s - 1));
		if (!end)
			return -EINVAL;
		r->p = end + 1;
		return add(r, s + 1, (size_t)(end - s - 1), cxx);
	}
	while (r->p < r->end && !strchr(";}\n", *r->p))
		r->p++;
	for (end = r->p; end > s && strchr(" \t\r", end[-1]);)
		end--;
	return add(r, s, (size_t)(end - s), cxx);
}

/* Behind "extern". */
static int foreign(struct reader *r)
{
	const char *s;
	size_t n = token(r, &s);
	bool cxx = n == 5 && !memcmp(s, "\"C++\"", 5);
	int err = 0;

	if ((!cxx && !(n == 3 && !memcmp(s, "\"C\"", 3))) || !token(r, &s) || *s != '{')
		return -EINVAL;
	while (!err && (n = token(r, &s)) && *s != '}') {
		if (*s == ';')
			continue;
		r->p = s;
		err = strchr("{:", *s) ? -EINVAL : add_foreign(r, cxx);
	}
	return err || n ? err : -EINVAL;
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
		if (n == 6 && !memcmp(s, "extern", 6) && next < r->end && *next == '"') {
			err = foreign(r);
		} else if (next < r->end && *next == ':') {
			r->global = n == 6 && !memcmp(s, "global", 6);
			if (!r->global && (n != 5 || memcmp(s, "local", 5)))
				return -EINVAL;
			r->p = ahead.p;
			r->line = ahead.line;
		} else {
			bool quoted = n > 1 && *s == '"' && s[n - 1] == '"';

			err = add(r, s + quoted, n - 2 * quoted, false);
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
