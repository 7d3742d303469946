// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Text for people: what can be shown, how wide it is, where it is broken. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "term.h"

#define MIDDLE 18 /* columns, from which a name is left out in the middle */

int32_t next_character(const char **s)
{
	const unsigned char *p = (const unsigned char *)*s;
	int32_t c = *p, least;
	int more;

	++*s;
	if (c < 0x80)
		return c;
	if (c < 0xc2 || c > 0xf4)
		return -1;
	more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	least = more == 1 ? 0x80 : more == 2 ? 0x800 : 0x10000;
	c &= 0x3f >> more;
	for (int i = 1; i <= more; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return -1;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return -1;
	*s += more;
	return c;
}

static bool can_show(int32_t c)
{
	if (c < 0x80)
		return c >= 0x20 && c < 0x7f;
	return *glyph("x", "") && iswprint((wint_t)c);
}

static const char *previous(const char *start, const char *p)
{
	while (p > start && (*--p & 0xc0) == 0x80)
		;
	return p;
}

const char *printable(char *out, size_t size, const char *name)
{
	size_t length = strlen(name), n = 0;
	/* Each byte takes four at most. */
	char *all = malloc(4 * length + 1);
	const char *from, *end;

	if (!all) {
		snprintf(out, size, "?");
		return out;
	}
	for (const char *p = name, *next = p; *p; p = next) {
		bool shown = can_show(next_character(&next));

		for (; p < next; p++)
			n += (size_t)sprintf(all + n, shown ? "%c" : "\\%03o", (unsigned char)*p);
	}
	all[n] = 0;
	from = all;
	end = all + n;
	if (n >= size)
		for (from = end - (size - 1); (*from & 0xc0) == 0x80; from++)
			;
	memcpy(out, from, (size_t)(end - from) + 1);
	free(all);
	return out;
}

static int width_of(int32_t c)
{
	int width = c < 0x80 ? 1 : wcwidth((wchar_t)c);

	return width < 0 ? 1 : width;
}

int text_columns(const char *text)
{
	int n = 0;

	while (*text)
		n += width_of(next_character(&text));
	return n;
}

/* Where the last @room columns of [text, end) begin. */
static const char *tail(const char *text, const char *end, int room)
{
	const char *p = end;

	for (const char *before = p; before > text;) {
		const char *c = before = previous(text, before);

		room -= width_of(next_character(&c));
		if (room < 0)
			break;
		p = before;
	}
	return p;
}

/* Where the first @room columns end. */
static const char *after(const char *text, int room)
{
	for (const char *next = text; *text; text = next) {
		room -= width_of(next_character(&next));
		if (room < 0)
			break;
	}
	return text;
}

const char *shorten(char *out, size_t size, const char *text, int room, const char *dots)
{
	int left = room - text_columns(dots);
	const char *slash = strrchr(text, '/'), *end = text + strlen(text), *p, *q;

	if (text_columns(text) <= room) {
		snprintf(out, size, "%s", text);
		return out;
	}
	if (left < 1) {
		dots = "";
		left = room > 0 ? room : 0;
	}
	p = tail(text, end, left);
	q = strchr(p, '/');
	if (q || !slash || left < MIDDLE) {
		snprintf(out, size, "%s%s", dots, q ? q : p);
		return out;
	}
	/* Of a file's name that is too long itself, the beginning tells as well. */
	q = after(slash + 1, left / 3);
	p = tail(text, end, left - left / 3);
	snprintf(out, size, "%.*s%s%s", (int)(q - slash - 1), slash + 1, dots, p);
	return out;
}

void put_words(int at, int indent, const char *text)
{
	int width = columns(stdout);

	if (width && indent > width / 2)
		indent = width / 2;
	while (*text) {
		size_t spaces = strspn(text, " "), length = strcspn(text + spaces, " ");
		char word[512];
		int wide;

		if (length >= sizeof(word))
			length = sizeof(word) - 1;
		snprintf(word, sizeof(word), "%.*s", (int)length, text + spaces);
		text += spaces + length;
		wide = text_columns(word);
		if (width && at > indent && at + (int)spaces + wide > width) {
			printf("\n%*s", indent, "");
			at = indent;
			spaces = 0;
		}
		printf("%*s%s", (int)spaces, "", word);
		at += (int)spaces + wide;
	}
}

void put_paragraph(int indent, const char *format, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) >= 0)
		put_words(0, indent, text);
	va_end(ap);
	free(text);
	putchar('\n');
}
