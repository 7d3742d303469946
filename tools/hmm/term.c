// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "term.h"

const char *colour(FILE *stream, enum colour c)
{
	static const char *const sequences[] = {
		[PLAIN] = "\033[0m", [BOLD] = "\033[1m",     [DIM] = "\033[2m",
		[RED] = "\033[31m",  [GREEN] = "\033[32m",   [YELLOW] = "\033[33m",
		[BLUE] = "\033[34m", [MAGENTA] = "\033[35m", [CYAN] = "\033[36m",
	};
	const char *off = getenv("NO_COLOR");

	return (off && *off) || !isatty(fileno(stream)) ? "" : sequences[c];
}

int columns(FILE *stream)
{
	struct winsize size;

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
