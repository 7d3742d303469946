// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "mbox.h"

#include "grow.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* A part of the text being parsed. */
struct span {
	const char *s, *end;
};

static const char *line_end(const char *s, const char *end)
{
	const char *nl = memchr(s, '\n', (size_t)(end - s));

	return nl ? nl + 1 : end;
}

static bool starts(const char *s, const char *end, const char *with)
{
	size_t n = strlen(with);

	return (size_t)(end - s) >= n && !memcmp(s, with, n);
}

static int hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Quoted-printable, in a header (where '_' is a blank) or a body.  Returns the length. */
static size_t decode_qp(const char *s, const char *end, bool header, char *out)
{
	char *o = out;

	while (s < end) {
		if (*s == '=' && end - s > 2 && hex_digit(s[1]) >= 0 && hex_digit(s[2]) >= 0) {
			*o++ = (char)(hex_digit(s[1]) * 16 + hex_digit(s[2]));
			s += 3;
		} else if (!header && *s == '=' && end - s > 1 && (s[1] == '\n' || s[1] == '\r')) {
			s = line_end(s, end);
		} else {
			*o++ = header && *s == '_' ? ' ' : *s;
			s++;
		}
	}
	return (size_t)(o - out);
}

static size_t decode_base64(const char *s, const char *end, char *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned int bits = 0, n = 0;
	char *o = out;

	for (; s < end && *s != '='; s++) {
		const char *d = *s ? strchr(digits, *s) : NULL;

		if (!d)
			continue;
		bits = bits << 6 | (unsigned int)(d - digits);
		n += 6;
		if (n >= 8) {
			n -= 8;
			*o++ = (char)(bits >> n & 0xff);
		}
	}
	return (size_t)(o - out);
}

/* One =?charset?Q?text?= at S; 0 when it is none, else how much of S it was. */
static size_t encoded_word(const char *s, const char *end, char **o)
{
	const char *charset, *text, *stop;

	if (!starts(s, end, "=?"))
		return 0;
	charset = memchr(s + 2, '?', (size_t)(end - s - 2));
	if (!charset || end - charset < 4 || charset[2] != '?')
		return 0;
	text = charset + 3;
	stop = memmem(text, (size_t)(end - text), "?=", 2);
	if (!stop)
		return 0;
	if ((charset[1] | 32) == 'q')
		*o += decode_qp(text, stop, true, *o);
	else
		*o += decode_base64(text, stop, *o);
	return (size_t)(stop + 2 - s);
}

/* A header's value: unfolded, encoded words decoded; malloc()ed. */
static char *header_value(struct span v)
{
	char *out = malloc((size_t)(v.end - v.s) + 1), *o = out;
	bool was_word = false;

	if (!out)
		return NULL;
	while (v.s < v.end) {
		size_t n = encoded_word(v.s, v.end, &o);
		const char *p = v.s;

		if (n) {
			v.s += n;
			was_word = true;
			continue;
		}
		if (!isspace((unsigned char)*v.s)) {
			*o++ = *v.s++;
			was_word = false;
			continue;
		}
		while (p < v.end && isspace((unsigned char)*p))
			p++;
		/* blanks between two encoded words are not there */
		if (o > out && p < v.end && !(was_word && starts(p, v.end, "=?")))
			*o++ = ' ';
		v.s = p;
	}
	*o = 0;
	return out;
}

/* The value of the header NAME ("subject:"), folded lines included; empty when absent. */
static struct span find_header(struct span head, const char *name)
{
	size_t n = strlen(name);

	for (const char *l = head.s; l < head.end;) {
		const char *e = line_end(l, head.end);

		while (e < head.end && (*e == ' ' || *e == '\t'))
			e = line_end(e, head.end);
		if ((size_t)(e - l) > n && !strncasecmp(l, name, n))
			return (struct span){ l + n, e };
		l = e;
	}
	return (struct span){ head.end, head.end };
}

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
	return -ENOMEM;
}

/* ">From " at the start of a line was "From "; carriage returns go. */
static void clean_body(struct mail *m)
{
	char *o = m->body;
	bool start = true;

	for (size_t i = 0; i < m->len; i++) {
		char c = m->body[i];

		if (c == '\r' && m->body[i + 1] == '\n')
			continue;
		if (start && c == '>' && !strncmp(m->body + i + 1, "From ", 5)) {
			start = false;
			continue;
		}
		start = c == '\n';
		*o++ = c;
	}
	*o = 0;
	m->len = (size_t)(o - m->body);
}

static int decode_body(struct mail *m, struct span body, struct span encoding)
{
	m->body = malloc((size_t)(body.end - body.s) + 1);
	if (!m->body)
		return -ENOMEM;
	while (encoding.s < encoding.end && isspace((unsigned char)*encoding.s))
		encoding.s++;
	if (encoding.end - encoding.s >= 16 && !strncasecmp(encoding.s, "quoted-printable", 16)) {
		m->len = decode_qp(body.s, body.end, false, m->body);
	} else if (encoding.end - encoding.s >= 6 && !strncasecmp(encoding.s, "base64", 6)) {
		m->len = decode_base64(body.s, body.end, m->body);
	} else {
		m->len = (size_t)(body.end - body.s);
		memcpy(m->body, body.s, m->len);
	}
	m->body[m->len] = 0;
	clean_body(m);
	return 0;
}

static int parse_mail(struct mail *m, struct span all)
{
	struct span head = { all.s, all.s }, body;
	char *from;
	int err;

	for (const char *l = all.s; l < all.end; l = line_end(l, all.end)) {
		if (*l == '\n' || (*l == '\r' && l + 1 < all.end && l[1] == '\n'))
			break;
		head.end = line_end(l, all.end);
	}
	body = (struct span){ line_end(head.end, all.end), all.end };
	from = header_value(find_header(head, "from:"));
	m->subject = header_value(find_header(head, "subject:"));
	err = from ? mbox_person(from, strlen(from), &m->name, &m->address) : -ENOMEM;
	free(from);
	if (!err && !m->subject)
		err = -ENOMEM;
	return err ? err : decode_body(m, body, find_header(head, "content-transfer-encoding:"));
}

/* Does a line of the form "Name: value" follow?  Then a "From " before it started a mail. */
static bool header_follows(const char *s, const char *end)
{
	const char *p = s;

	while (p < end && (isalnum((unsigned char)*p) || *p == '-'))
		p++;
	return p > s && p < end && *p == ':';
}

static bool mail_starts(const char *s, const char *end)
{
	return starts(s, end, "From ") && header_follows(line_end(s, end), end);
}

int mbox_parse(const char *text, size_t len, struct mbox *out)
{
	const char *end = text + len, *s = text;
	int err = 0;

	*out = (struct mbox){ 0 };
	if (!mail_starts(s, end) && !header_follows(s, end))
		return -EINVAL;
	while (!err && s < end) {
		const char *start = starts(s, end, "From ") ? line_end(s, end) : s;

		for (s = start; s < end && !mail_starts(s, end); s = line_end(s, end))
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
		free(m->v[i].body);
	}
	free(m->v);
	*m = (struct mbox){ 0 };
}
