// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Descriptors and memory of the process: what the second cycle leaves behind and the first did not
 * is a leak.
 */
#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include "torture.h"

#define LEAK_BYTES (256U << 10)
/* mapped pages that are no leak: thread stacks and pools may be freed a little later */
#define LEAK_PAGES 512

void usage_measure(struct usage *u)
{
	DIR *d = opendir("/proc/self/fd");
	FILE *f = fopen("/proc/self/statm", "r");

	memset(u, 0, sizeof(*u));
	while (d && readdir(d))
		u->fds++;
	if (d)
		closedir(d);
	if (f) {
		if (fscanf(f, "%zu", &u->pages) != 1)
			u->pages = 0;
		fclose(f);
	}
	u->heap = mallinfo2().uordblks;
}

void usage_compare(const struct usage *first, const struct usage *second)
{
	if (second->fds > first->fds)
		finding(FINDING_LEAK, "%u descriptors after the first cycle, %u after the second",
			first->fds, second->fds);
	if (second->heap > first->heap + LEAK_BYTES)
		finding(FINDING_LEAK,
			"%zu bytes of heap after the first cycle, %zu after the second",
			first->heap, second->heap);
	if (second->pages > first->pages + LEAK_PAGES)
		finding(FINDING_LEAK,
			"%zu pages mapped after the first cycle, %zu after the second",
			first->pages, second->pages);
}
