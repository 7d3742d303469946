// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "mail/subject.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define MAX_NUMBER 1000000u

/* Versions are STEP apart, so that "v2.1" and a resent series lie between two of them. */
enum { STEP = 1000, MINOR = 10, RESENT = 1 };

static const char *skip_blanks(const char *s)
{
	while (isspace((unsigned char)*s))
		s++;
	return s;
}

/* Digits at *S, which moves behind them; false: there are none, or too many. */
static bool number(const char **s, const char *end, unsigned int *out)
{
	const char *p = *s;

	for (*out = 0; p < end && isdigit((unsigned char)*p) && *out < MAX_NUMBER; p++)
		*out = *out * 10 + (unsigned int)(*p - '0');
	if (p == *s || *out >= MAX_NUMBER)
		return false;
	*s = p;
	return true;
}

/* "1/3" */
static bool place(const char *s, const char *end, struct subject *out)
{
	unsigned int n, of;

	if (!number(&s, end, &n) || s == end || *s++ != '/' || !number(&s, end, &of) || s != end)
		return false;
	if (!out->of) {
		out->n = n;
		out->of = of;
	}
	return true;
}

/* "v2", "V2.1" */
static void version(const char *s, const char *end, struct subject *out)
{
	unsigned int major, minor = 0;

	if (s == end || (*s | 32) != 'v')
		return;
	s++;
	if (!number(&s, end, &major))
		return;
	if (s < end && *s == '.' && (s++, !number(&s, end, &minor)))
		return;
	if (s == end && major && minor < STEP / MINOR)
		out->version = out->version % MINOR + major * STEP + minor * MINOR;
}

/* One word in brackets. */
static void word(const char *s, const char *end, struct subject *out)
{
	static const char *const words[] = { "PATCH", "RFC", "RESEND", "REPOST" };

	if (place(s, end, out))
		return;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		size_t n = strlen(words[i]);

		if ((size_t)(end - s) < n || strncasecmp(s, words[i], n))
			continue;
		out->patch |= i < 2;
		if (i >= 2 && out->version % MINOR != RESENT)
			out->version += RESENT;
		s += n; /* "PATCHv2" */
		break;
	}
	version(s, end, out);
}

static void brackets(const char *s, const char *end, struct subject *out)
{
	while (s < end) {
		const char *from = s;

		while (s < end && !strchr(" \t,;:[", *s))
			s++;
		if (s > from)
			word(from, s, out);
		s += s < end;
	}
}

/* The length of "Re: ", "AW: ", "Re[2]: " and so on before the subject of a reply; 0 if none is. */
static size_t reply(const char *s)
{
	static const char *const words[] = { "re", "aw", "sv", "vs", "antw", "odp" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		size_t n = strlen(words[i]);

		if (strncasecmp(s, words[i], n))
			continue;
		if (s[n] == '[' && strchr(s, ']'))
			n = (size_t)(strchr(s, ']') + 1 - s);
		if (s[n] == ':')
			return n + 1;
	}
	return 0;
}

void subject_parse(const char *s, struct subject *out)
{
	size_t n;

	*out = (struct subject){ .version = STEP };
	for (s = skip_blanks(s); (n = reply(s)) || !strncasecmp(s, "fwd:", 4);) {
		out->reply |= n > 0;
		s = skip_blanks(s + (n ? n : 4));
	}
	while (*s == '[' && strchr(s, ']')) {
		const char *end = strchr(s, ']');

		brackets(s + 1, end, out);
		s = skip_blanks(end + 1);
	}
	out->plain = s;
}
