// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A plug-in that brings UCX into the process, as those of Open MPI do: see ucx_host.c. */
#include "ucx_cache.h"

#include <errno.h>

static uint64_t pins;
static struct peer_cache *cache;

int pin_make(uint64_t addr, uint64_t length, uint64_t *id)
{
	*id = ++pins;
	return 0;
}

void pin_end(uint64_t id)
{
}

__attribute__((visibility("default"))) int plugin_open(void);
int plugin_open(void)
{
	char why[256];

	return ucx_libhmm.start(why, sizeof(why)) ? -ENOENT : ucx_libhmm.open(&cache);
}

/* The number of the registration. */
__attribute__((visibility("default"))) uint64_t plugin_use(void *buf, size_t length);
uint64_t plugin_use(void *buf, size_t length)
{
	struct peer_use use;

	if (ucx_libhmm.get(cache, (uintptr_t)buf, length, 0, &use))
		return 0;
	ucx_libhmm.put(cache, &use);
	return use.id;
}

__attribute__((visibility("default"))) void plugin_close(void);
void plugin_close(void)
{
	ucx_libhmm.close(cache);
}
