// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Encodings of headers and bodies; MIME parts; text that is format=flowed. */
#include "mail/mime.h"
#include "base/span.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_DEPTH 8 /* of parts in parts */

/* The decoded text. It is never longer than the mail, for decoding only shortens it. */
struct text {
	char *s;
	size_t len;
};

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
			s = span_line_end(s, end);
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

	if (!span_starts(s, end, "=?"))
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

char *mime_value(struct span v)
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
		if (o > out && p < v.end && !(was_word && span_starts(p, v.end, "=?")))
			*o++ = ' ';
		v.s = p;
	}
	*o = 0;
	return out;
}

struct span mime_header(struct span head, const char *name)
{
	size_t n = strlen(name);

	for (const char *l = head.s; l < head.end;) {
		const char *e = span_line_end(l, head.end);

		while (e < head.end && (*e == ' ' || *e == '\t'))
			e = span_line_end(e, head.end);
		if ((size_t)(e - l) > n && !strncasecmp(l, name, n))
			return (struct span){ l + n, e };
		l = e;
	}
	return (struct span){ head.end, head.end };
}

void mime_split(struct span all, struct span *head, struct span *body)
{
	*head = (struct span){ all.s, all.s };
	for (const char *l = all.s; l < all.end; l = span_line_end(l, all.end)) {
		if (*l == '\n' || (*l == '\r' && l + 1 < all.end && l[1] == '\n'))
			break;
		head->end = span_line_end(l, all.end);
	}
	*body = (struct span){ span_line_end(head->end, all.end), all.end };
}

/* The value of NAME in a header like "text/plain; format=flowed"; "" when it is not there. */
static struct span parameter(struct span v, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = v.s; (p = memchr(p, ';', (size_t)(v.end - p)));) {
		struct span out;

		for (p++; p < v.end && isspace((unsigned char)*p);)
			p++;
		if ((size_t)(v.end - p) <= n || strncasecmp(p, name, n) || p[n] != '=')
			continue;
		p += n + 1;
		if (p < v.end && *p == '"') {
			const char *quote = memchr(p + 1, '"', (size_t)(v.end - p - 1));

			return (struct span){ p + 1, quote ? quote : v.end };
		}
		for (out = (struct span){ p, p };
		     out.end < v.end && *out.end != ';' && !isspace((unsigned char)*out.end);)
			out.end++;
		return out;
	}
	return (struct span){ v.end, v.end };
}

static bool is(struct span v, const char *what)
{
	while (v.s < v.end && isspace((unsigned char)*v.s))
		v.s++;
	return (size_t)(v.end - v.s) >= strlen(what) && !strncasecmp(v.s, what, strlen(what));
}

/* Joins the lines that a mailer broke: those that end in a blank (RFC 3676). */
static size_t unflow(char *s, size_t len, bool delsp)
{
	char *o = s;

	for (const char *l = s, *end = s + len, *next; l < end; l = next) {
		const char *stop = next = span_line_end(l, end);
		bool signature, soft;
		size_t n;

		while (stop > l && (stop[-1] == '\n' || stop[-1] == '\r'))
			stop--;
		signature = stop - l == 3 && !memcmp(l, "-- ", 3);
		l += !signature && l < stop && *l == ' '; /* the mailer put a blank in front */
		soft = !signature && l < stop && stop[-1] == ' ';
		n = (size_t)((soft ? stop - delsp : next) - l);
		memmove(o, l, n);
		o += n;
	}
	return (size_t)(o - s);
}

static void leaf(struct span head, struct span body, struct text *out)
{
	struct span encoding = mime_header(head, "content-transfer-encoding:");
	struct span type = mime_header(head, "content-type:");
	char *to = out->s + out->len;
	size_t len;

	if (is(encoding, "quoted-printable")) {
		len = decode_qp(body.s, body.end, false, to);
	} else if (is(encoding, "base64")) {
		len = decode_base64(body.s, body.end, to);
	} else {
		len = (size_t)(body.end - body.s);
		memcpy(to, body.s, len);
	}
	if (is(parameter(type, "format"), "flowed"))
		len = unflow(to, len, is(parameter(type, "delsp"), "yes"));
	out->len += len;
}

/* Text other than HTML; also a part without a type, an attached mail, an attached file. */
static bool is_text(struct span type)
{
	return type.s == type.end || (is(type, "text/") && !is(type, "text/html")) ||
	       is(type, "application/octet-stream") || is(type, "message/");
}

static bool is_boundary(const char *l, const char *end, struct span boundary)
{
	size_t n = (size_t)(boundary.end - boundary.s);

	return (size_t)(end - l) >= n + 2 && !memcmp(l, "--", 2) && !memcmp(l + 2, boundary.s, n);
}

static void part(struct span head, struct span body, int depth, struct text *out)
{
	struct span type = mime_header(head, "content-type:");
	struct span boundary = parameter(type, "boundary"), one = { NULL, NULL };

	if (!is(type, "multipart/") || boundary.s == boundary.end || depth == MAX_DEPTH) {
		if (is_text(type) || !depth)
			leaf(head, body, out);
		return;
	}
	for (const char *l = body.s; l < body.end; l = span_line_end(l, body.end)) {
		struct span part_head, part_body;

		if (!is_boundary(l, body.end, boundary))
			continue;
		if (one.s) {
			one.end = l;
			mime_split(one, &part_head, &part_body);
			part(part_head, part_body, depth + 1, out);
		}
		one.s = span_line_end(l, body.end);
	}
}

int mime_text(struct span head, struct span body, char **text, size_t *len)
{
	struct text t = { .s = malloc((size_t)(body.end - body.s) + 1) };

	if (!t.s)
		return -ENOMEM;
	part(head, body, 0, &t);
	t.s[t.len] = 0;
	*text = t.s;
	*len = t.len;
	return 0;
}
