// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "gate/names.h"
#include "base/grow.h"

#include <ctype.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The end of the comment, string or character constant at S; S itself if there is none. */
static const char *skip(const char *s, const char *end)
{
	const char *p;

	if (end - s > 1 && s[0] == '/' && s[1] == '*') {
		p = memmem(s + 2, (size_t)(end - s - 2), "*/", 2);
		return p ? p + 2 : end;
	}
	if (end - s > 1 && s[0] == '/' && s[1] == '/') {
		p = memchr(s, '\n', (size_t)(end - s));
		return p ? p : end;
	}
	if (*s != '"' && *s != '\'')
		return s;
	for (p = s + 1; p < end && *p != *s && *p != '\n'; p++)
		if (*p == '\\' && p + 1 < end)
			p++;
	return p < end ? p + 1 : end;
}

static int add(struct names *n, const char *s, size_t len)
{
	int err = grow_room(n->v, n->n, n->cap);

	if (err)
		return err;
	n->v[n->n] = strndup(s, len);
	return n->v[n->n] ? (n->n++, 0) : -ENOMEM;
}

static void unique(struct names *n)
{
	size_t k = 0;

	if (n->n)
		qsort(n->v, n->n, sizeof(*n->v), compare);
	for (size_t i = 0; i < n->n; i++) {
		if (k && !strcmp(n->v[k - 1], n->v[i]))
			free(n->v[i]);
		else
			n->v[k++] = n->v[i];
	}
	n->n = k;
}

int names_of(const char *text, size_t len, struct names *out)
{
	const char *end = text + len;
	int err = 0;

	*out = (struct names){ 0 };
	for (const char *s = text; !err && s < end;) {
		const char *p = skip(s, end);

		if (p > s) {
			s = p;
		} else if (isalpha((unsigned char)*s) || *s == '_') {
			while (p < end && (isalnum((unsigned char)*p) || *p == '_'))
				p++;
			err = add(out, s, (size_t)(p - s));
			s = p;
		} else if (isdigit((unsigned char)*s)) {
			while (s < end && (isalnum((unsigned char)*s) || *s == '_'))
				s++;
		} else {
			s++;
		}
	}
	unique(out);
	if (err)
		names_free(out);
	return err;
}

bool names_have(const struct names *n, const char *name)
{
	char *key = (char *)(size_t)name;

	return n->n && bsearch(&key, n->v, n->n, sizeof(*n->v), compare);
}

void names_free(struct names *n)
{
	for (size_t i = 0; i < n->n; i++)
		free(n->v[i]);
	free(n->v);
	*n = (struct names){ 0 };
}
