// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "watchd/say.h"
#include "watchd/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define A_MINUTE 10

static void put(int priority, const char *format, va_list ap)
{
	char line[512];
	/* the journal reads the priority from the line's beginning */
	int n = getenv("JOURNAL_STREAM") ? snprintf(line, sizeof(line), "<%d>", priority) : 0;

	n += snprintf(line + n, sizeof(line) - (size_t)n, "hmm-watchd: ");
	n += vsnprintf(line + n, sizeof(line) - (size_t)n, format, ap);
	if ((size_t)n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return; /* there is nobody to tell */
}

void say(int priority, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	put(priority, format, ap);
	va_end(ap);
}

void say_seldom(int priority, const char *format, ...)
{
	static uint64_t minute;
	static unsigned int lines, left_out;
	const uint64_t now = now_ns() / 60000000000ULL;
	va_list ap;

	if (now != minute) {
		if (left_out)
			say(LOG_NOTICE, "%u more lines like these were left out", left_out);
		minute = now;
		lines = left_out = 0;
	}
	if (lines++ >= A_MINUTE) {
		left_out++;
		return;
	}
	va_start(ap, format);
	put(priority, format, ap);
	va_end(ap);
}
