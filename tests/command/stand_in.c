// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Stands in for a monitor where `hmm exec` is tested: it is preloaded, finds the counters, and adds
 * to them what the variable STAND_IN_OFI or STAND_IN_UCX says, as in "served=1 hits=3 why=3".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../monitor/stats.h"

#define STRING_OF(x) #x
#define STRING(x) STRING_OF(x)

static _Atomic uint64_t *counter(struct monitor_counters *c, const char *name)
{
	const struct {
		const char *name;
		_Atomic uint64_t *counter;
	} all[] = {
		{ "served", &c->served },
		{ "hits", &c->hits },
		{ "misses", &c->misses },
		{ "refused", &c->refused },
		{ "invalidations", &c->invalidations },
		{ "stale_prevented", &c->stale_prevented },
		{ "why", &c->why },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!strcmp(all[i].name, name))
			return all[i].counter;
	abort();
}

__attribute__((constructor)) static void begin(void)
{
	struct monitor_counters *c;
	const char *what = getenv("STAND_IN_" STRING(WHICH_NAME));
	unsigned long long n;
	char name[32];
	int used;

	stats_open();
	c = &stats_get()->WHICH;
	stats_add(&c->loaded);
	for (; what && sscanf(what, " %31[a-z_]=%llu%n", name, &n, &used) == 2; what += used)
		atomic_fetch_add(counter(c, name), n);
}
