// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Findings: all are counted, and the first ones kept with their text. */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include "torture.h"

#define KEPT 8

static _Atomic uint64_t counts[FINDING_NR];
static _Atomic unsigned int taken;
static char texts[KEPT][240];

static const char *const names[FINDING_NR] = { "stale access", "lost update", "wrong byte",
					       "hang",         "leak",        "error" };

const char *finding_name(enum finding f)
{
	return names[f];
}

void finding(enum finding f, const char *fmt, ...)
{
	unsigned int i = atomic_fetch_add(&taken, 1);
	va_list args;
	int n;

	if (i < KEPT) {
		n = snprintf(texts[i], sizeof(texts[i]), "%s: ", names[f]);
		va_start(args, fmt);
		vsnprintf(texts[i] + n, sizeof(texts[i]) - (size_t)n, fmt, args);
		va_end(args);
	}
	atomic_fetch_add(&counts[f], 1);
}

uint64_t findings_of(enum finding f)
{
	return atomic_load(&counts[f]);
}

uint64_t findings_all(void)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < FINDING_NR; i++)
		sum += atomic_load(&counts[i]);
	return sum;
}

const char *finding_text(unsigned int i)
{
	return i < KEPT && i < atomic_load(&taken) ? texts[i] : NULL;
}

uint64_t tort_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

void tort_pause(uint64_t ns)
{
	struct timespec ts = { 0, (long)ns };

	nanosleep(&ts, NULL);
}

void tort_spin(uint64_t ns)
{
	const uint64_t end = tort_now_ns() + ns;

	while (tort_now_ns() < end)
		;
}
