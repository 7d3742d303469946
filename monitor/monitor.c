// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "monitor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Bool monitor_wanted(const char *name)
{
	const char *value = getenv(MONITOR_ENV);

	return !value || !*value || !strcmp(value, "auto") || !strcmp(value, name);
}

void monitor_say(enum monitor_why why, int err, const char *text)
{
	static atomic_flag said = ATOMIC_FLAG_INIT;
	const int saved = errno;
	char line[256];
	int n;

	atomic_store(&monitor_counters()->why, MONITOR_WHY(why, err));
	if (atomic_flag_test_and_set(&said))
		return;
	if (err)
		n = snprintf(line, sizeof(line), "%s: not monitored: %s (%s)\n", monitor.name, text,
			     strerrordesc_np(-err));
	else
		n = snprintf(line, sizeof(line), "%s: not monitored: %s\n", monitor.name, text);
	if (n > (int)sizeof(line) - 1)
		n = sizeof(line) - 1;
	if (write(STDERR_FILENO, line, (size_t)n) < 0) {
		/* Nobody is there to read it. */
	}
	errno = saved;
}
