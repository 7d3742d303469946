// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "mail/mbox.h"
#include "base/grow.h"
#include "base/span.h"
#include "mail/mime.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

int mbox_person(const char *s, size_t len, char **name, char **address)
{
	const char *end = s + len, *lt = memrchr(s, '<', len), *gt;
	struct span n = { s, s }, a = { s, end };

	if (lt) {
		gt = memchr(lt, '>', (size_t)(end - lt));
		n.end = lt;
		a = (struct span){ lt + 1, gt ? gt : end };
	}
	while (n.s < n.end && (isspace((unsigned char)*n.s) || *n.s == '"'))
		n.s++;
	while (n.s < n.end && (isspace((unsigned char)n.end[-1]) || n.end[-1] == '"'))
		n.end--;
	while (a.s < a.end && isspace((unsigned char)*a.s))
		a.s++;
	while (a.s < a.end && isspace((unsigned char)a.end[-1]))
		a.end--;
	*name = strndup(n.s, (size_t)(n.end - n.s));
	*address = strndup(a.s, (size_t)(a.end - a.s));
	if (*name && *address)
		return 0;
	free(*name);
	free(*address);
	*name = *address = NULL;
	return -ENOMEM;
}

/* ">From " at the start of a line was "From ", ">>From " was ">From ". */
static bool is_quoted_from(const char *s, const char *end)
{
	if (*s != '>')
		return false;
	while (s < end && *s == '>')
		s++;
	return span_starts(s, end, "From ");
}

/* Drops the carriage returns at the ends of lines. */
static size_t strip_returns(char *s, size_t len)
{
	char *o = s;

	for (size_t i = 0; i < len; i++)
		if (s[i] != '\r' || i + 1 == len || s[i + 1] != '\n')
			*o++ = s[i];
	*o = 0;
	return (size_t)(o - s);
}

/* The mail as it was before it was put into a mailbox: a copy with a NUL behind it, or NULL. */
static char *unpacked(struct span all, size_t *len)
{
	char *copy = malloc((size_t)(all.end - all.s) + 1), *o = copy;
	const char *head_end = span_line_end(all.s, all.end);

	if (!copy)
		return NULL;
	for (const char *l = all.s; l < all.end;) {
		const char *e = span_line_end(l, all.end);

		l += is_quoted_from(l, e);
		memcpy(o, l, (size_t)(e - l));
		o += e - l;
		l = e;
	}
	*o = 0;
	*len = (size_t)(o - copy);
	/* if the headers have them too, the transport added them */
	if (head_end - all.s > 1 && head_end[-1] == '\n' && head_end[-2] == '\r')
		*len = strip_returns(copy, *len);
	return copy;
}

static int keep_body(struct mail *m)
{
	if (!memmem(m->body, m->len, "\r\n", 2))
		return 0;
	m->raw = malloc(m->len + 1);
	if (!m->raw)
		return -ENOMEM;
	memcpy(m->raw, m->body, m->len + 1);
	m->raw_len = m->len;
	m->len = strip_returns(m->body, m->len);
	return 0;
}

static int parse_headers(struct mail *m, struct span head)
{
	char *from = mime_value(mime_header(head, "from:"));
	int err = from ? mbox_person(from, strlen(from), &m->name, &m->address) : -ENOMEM;

	free(from);
	m->subject = mime_value(mime_header(head, "subject:"));
	m->id = mime_value(mime_header(head, "message-id:"));
	return !err && m->subject && m->id ? 0 : -ENOMEM;
}

static int parse_mail(struct mail *m, struct span all)
{
	struct span head, body;
	size_t len;
	char *text = unpacked(all, &len);
	int err;

	if (!text)
		return -ENOMEM;
	mime_split((struct span){ text, text + len }, &head, &body);
	err = parse_headers(m, head);
	if (!err)
		err = mime_text(head, body, &m->body, &m->len);
	if (!err)
		err = keep_body(m);
	free(text);
	return err;
}

/* Does a line "Name: value" follow? Then the "From " line before it starts a mail. */
static bool header_follows(const char *s, const char *end)
{
	const char *p = s;

	while (p < end && (isalnum((unsigned char)*p) || *p == '-'))
		p++;
	return p > s && p < end && *p == ':';
}

/* "From someone ... 12:00:00 2024", as opposed to a sentence; what git looks for too. */
static bool has_date(const char *s, const char *end)
{
	const char *colon = memrchr(s, ':', (size_t)(end - s));

	return colon && colon - s > 8 && end - colon > 4 && isdigit((unsigned char)colon[-1]) &&
	       isdigit((unsigned char)colon[-2]) && isdigit((unsigned char)colon[1]) &&
	       isdigit((unsigned char)colon[2]);
}

static bool mail_starts(const char *s, const char *end)
{
	const char *e = span_line_end(s, end);

	return span_starts(s, end, "From ") && has_date(s, e) && header_follows(e, end);
}

int mbox_parse(const char *text, size_t len, struct mbox *out)
{
	const char *end = text + len, *s = text;
	int err = 0;

	*out = (struct mbox){ 0 };
	if (!header_follows(span_starts(s, end, "From ") ? span_line_end(s, end) : s, end))
		return -EINVAL;
	while (!err && s < end) {
		const char *start = span_starts(s, end, "From ") ? span_line_end(s, end) : s;

		for (s = start; s < end && !mail_starts(s, end); s = span_line_end(s, end))
			;
		err = grow_room(out->v, out->n, out->cap);
		if (err)
			break;
		out->v[out->n] = (struct mail){ 0 };
		err = parse_mail(&out->v[out->n++], (struct span){ start, s });
	}
	if (err)
		mbox_free(out);
	return err;
}

void mbox_free(struct mbox *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->v[i].name);
		free(m->v[i].address);
		free(m->v[i].subject);
		free(m->v[i].id);
		free(m->v[i].body);
		free(m->v[i].raw);
	}
	free(m->v);
	*m = (struct mbox){ 0 };
}
