// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "patch/hunk.h"
#include "base/grow.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct image_line {
	const char *s;
	size_t len;   /* with its newline, which the last one may lack */
	bool patched; /* came with a hunk: no other one may begin or end in it */
};

struct lines {
	struct image_line *v;
	size_t n, cap;
};

struct hunk {
	unsigned long old_line, old_n, new_line, new_n;
	struct lines before, after;
	size_t trailing; /* lines of context */
};

static int add_line(struct lines *l, const char *s, size_t len, bool patched)
{
	if (grow_room(l->v, l->n, l->cap))
		return -ENOMEM;
	l->v[l->n++] = (struct image_line){ s, len, patched };
	return 0;
}

int image_new(const char *text, size_t len, struct image *out)
{
	const char *end = text + len;
	struct lines l = { 0 };
	int err = 0;

	for (const char *s = text, *e; !err && s < end; s = e) {
		e = span_line_end(s, end);
		err = add_line(&l, s, (size_t)(e - s), false);
	}
	*out = (struct image){ .v = l.v, .n = l.n };
	if (err)
		image_free(out);
	return err;
}

void image_free(struct image *i)
{
	free(i->v);
	i->v = NULL;
	i->n = 0;
}

char *image_text(const struct image *i, size_t *len)
{
	char *out, *o;

	*len = 0;
	for (size_t k = 0; k < i->n; k++)
		*len += i->v[k].len;
	out = o = malloc(*len + 1);
	for (size_t k = 0; out && k < i->n; k++) {
		memcpy(o, i->v[k].s, i->v[k].len);
		o += i->v[k].len;
	}
	if (out)
		*o = 0;
	return out;
}

/* "12" or "12,3"; *S moves behind it. */
static bool range(const char **s, unsigned long *line, unsigned long *n)
{
	char *end;

	if (**s < '0' || **s > '9')
		return false;
	*line = strtoul(*s, &end, 10);
	*n = 1;
	if (*end == ',') {
		if (end[1] < '0' || end[1] > '9')
			return false;
		*n = strtoul(end + 1, &end, 10);
	}
	*s = end;
	return *line < 1ul << 31 && *n < 1ul << 31;
}

/* "@@ -1,2 +1,3 @@"; the text ends with a NUL. */
static bool header(const char *s, const char *end, struct hunk *h)
{
	if (!span_starts(s, end, "@@ -"))
		return false;
	s += 4;
	if (!range(&s, &h->old_line, &h->old_n) || !span_starts(s, end, " +"))
		return false;
	s += 2;
	return range(&s, &h->new_line, &h->new_n) && span_starts(s, end, " @@");
}

int hunk_starts(const char *s, const char *end)
{
	struct hunk h;

	return header(s, end, &h);
}

/* "\ No newline at end of file" is about the line before it. */
static void cut_newline(struct hunk *h, char kind)
{
	if (kind != '+' && h->before.n && h->before.v[h->before.n - 1].len)
		h->before.v[h->before.n - 1].len--;
	if (kind != '-' && h->after.n && h->after.v[h->after.n - 1].len)
		h->after.v[h->after.n - 1].len--;
}

static int take_line(struct hunk *h, char kind, const char *s, size_t len)
{
	int err = kind == '+' ? 0 : add_line(&h->before, s, len, false);

	if (!err && kind != '-')
		err = add_line(&h->after, s, len, true);
	h->trailing = kind == ' ' ? h->trailing + 1 : 0;
	return err;
}

/* The lines of a hunk.  Return: 0, -EINVAL: they are not as many as it says; -ENOMEM. */
static int body(struct hunk *h, const char **at, const char *end)
{
	const char *s = *at;
	char kind = 0;
	int err = 0;

	while (!err && s < end) {
		const char *e = span_line_end(s, end);
		bool full = h->before.n == h->old_n && h->after.n == h->new_n;

		if (*s == '\\') {
			cut_newline(h, kind);
		} else if (full) {
			break;
		} else {
			/* mailers take the blank from a line that is empty but for it */
			kind = *s == '\n' ? ' ' : *s;
			if (!strchr(" +-", kind) || !kind || e[-1] != '\n' ||
			    (kind != '+' && h->before.n == h->old_n) ||
			    (kind != '-' && h->after.n == h->new_n))
				return -EINVAL;
			s += *s != '\n';
			err = take_line(h, kind, s, (size_t)(e - s));
		}
		s = e;
	}
	*at = s;
	if (!err && (h->before.n != h->old_n || h->after.n != h->new_n))
		return -EINVAL;
	return err;
}

static bool matches(const struct image *i, const struct lines *l, size_t at, bool first, bool last)
{
	if (l->n > i->n || at > i->n - l->n || (first && at) || (last && at + l->n != i->n))
		return false;
	for (size_t k = 0; k < l->n; k++) {
		const struct image_line *a = &i->v[at + k], *b = &l->v[k];

		if (a->patched || a->len != b->len || memcmp(a->s, b->s, a->len))
			return false;
	}
	return true;
}

/* The place nearest to where the hunk says, above and below in turn; -1: there is none. */
static ssize_t find(const struct image *i, const struct hunk *h)
{
	/* a hunk without context on one side must be at that end of the file */
	bool first = h->old_line <= 1, last = !h->trailing;
	size_t at = h->new_line ? h->new_line - 1 : 0;

	if (first)
		at = 0;
	else if (last && i->n >= h->before.n)
		at = i->n - h->before.n;
	at = at > i->n ? i->n : at;
	for (size_t d = 0; d <= i->n; d++) {
		if (at + d <= i->n && matches(i, &h->before, at + d, first, last))
			return (ssize_t)(at + d);
		if (d && d <= at && matches(i, &h->before, at - d, first, last))
			return (ssize_t)(at - d);
	}
	return -1;
}

static int replace(struct image *i, size_t at, const struct hunk *h)
{
	size_t n = i->n - h->before.n + h->after.n, rest = i->n - at - h->before.n;
	struct image_line *v = reallocarray(i->v, (n > i->n ? n : i->n) + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	i->v = v;
	memmove(v + at + h->after.n, v + at + h->before.n, rest * sizeof(*v));
	if (h->after.n)
		memcpy(v + at, h->after.v, h->after.n * sizeof(*v));
	i->n = n;
	return 0;
}

static int one(struct image *i, struct hunk *h, const char **s, const char *end)
{
	int err;
	ssize_t at;

	*s = span_line_end(*s, end);
	err = body(h, s, end);
	if (err == -EINVAL)
		snprintf(i->why, sizeof(i->why), "the hunk at line %lu is cut off or damaged",
			 h->old_line);
	if (err)
		return err;
	at = find(i, h);
	if (at >= 0)
		return replace(i, (size_t)at, h);
	snprintf(i->why, sizeof(i->why), "the hunk at line %lu does not fit", h->old_line);
	return -EINVAL;
}

int image_apply(struct image *i, const char *s, const char *end, const char **stop)
{
	int err = 0;

	while (!err) {
		struct hunk h = { 0 };

		if (!header(s, end, &h))
			break;
		err = one(i, &h, &s, end);
		free(h.before.v);
		free(h.after.v);
	}
	*stop = s;
	return err;
}
