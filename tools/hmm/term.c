// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "term.h"

#define COLUMNS_MAX 100000

static bool utf8;

/* What the environment asks for, whether or not that locale is installed. */
static bool wants_utf8(void)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = getenv(names[i]);

		if (value && *value)
			return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
	}
	return false;
}

void term_init(void)
{
	bool there = setlocale(LC_CTYPE, "");

	if (!there && wants_utf8())
		there = setlocale(LC_CTYPE, "C.UTF-8");
	utf8 = there && !strcmp(nl_langinfo(CODESET), "UTF-8");
}

const char *glyph(const char *text, const char *ascii)
{
	return utf8 ? text : ascii;
}

static bool dumb(void)
{
	const char *term = getenv("TERM");

	return term && !strcmp(term, "dumb");
}

bool can_redraw(FILE *stream)
{
	return isatty(fileno(stream)) && !dumb();
}

const char *colour(FILE *stream, enum colour c)
{
	static const char *const sequences[] = {
		[PLAIN] = "\033[0m", [BOLD] = "\033[1m",     [DIM] = "\033[2m",
		[RED] = "\033[31m",  [GREEN] = "\033[32m",   [YELLOW] = "\033[33m",
		[BLUE] = "\033[34m", [MAGENTA] = "\033[35m", [CYAN] = "\033[36m",
	};
	const char *off = getenv("NO_COLOR"), *term = getenv("TERM");

	return (off && *off) || !term || !*term || !can_redraw(stream) ? "" : sequences[c];
}

int columns(FILE *stream)
{
	const char *asked = getenv("COLUMNS");
	struct winsize size;
	char *end;
	long n;

	if (asked && *asked) {
		n = strtol(asked, &end, 10);
		if (!*end && n > 0 && n <= COLUMNS_MAX)
			return (int)n;
	}
	if (!isatty(fileno(stream)))
		return 0;
	if (ioctl(fileno(stream), TIOCGWINSZ, &size) || !size.ws_col)
		return 80;
	return size.ws_col;
}

const char *bytes_in_words(char *text, uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = (double)bytes;
	unsigned int unit = 0;

	for (; value >= 1024 && unit < 5; unit++)
		value /= 1024;
	snprintf(text, WORDS, unit && value < 100 ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return text;
}

const char *seconds_in_words(char *text, double seconds)
{
	if (seconds < 1e-3)
		snprintf(text, WORDS, "%.1f us", seconds * 1e6);
	else if (seconds < 1)
		snprintf(text, WORDS, "%.1f ms", seconds * 1e3);
	else
		snprintf(text, WORDS, "%.2f s", seconds);
	return text;
}

const char *rate_in_words(char *text, double bytes_per_second)
{
	if (bytes_per_second < 1e6)
		snprintf(text, WORDS, "%.0f kB/s", bytes_per_second / 1e3);
	else if (bytes_per_second < 1e9)
		snprintf(text, WORDS, "%.0f MB/s", bytes_per_second / 1e6);
	else
		snprintf(text, WORDS, "%.2f GB/s", bytes_per_second / 1e9);
	return text;
}
