// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A user with CAP_BPF and CAP_PERFMON, as root, needs no hmm-watchd: the tool loads the programs,
 * and they go when it ends. Such a user may read any process, so this tells nothing new.
 */
#include "events.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "watchd/loader.h"

#include "../object.h"

#define PLUGIN "libhmm-watch.so"

static struct {
	bool tried;
	int error;
	struct watch_loader *loader;
	int (*open)(struct watch_loader *, pid_t, size_t, struct watch_fds *, uint32_t *);
	size_t (*sites)(const struct watch_loader *, const struct watch_site **);
} plugin;

static int load(void)
{
	int (*first)(unsigned int, struct watch_loader **);
	char path[PATH_MAX];
	void *object;

	if (!object_find("/watchd", PLUGIN, path))
		return -ELIBACC;
	object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!object)
		return -ELIBACC;
	*(void **)&first = dlsym(object, "watch_load");
	*(void **)&plugin.open = dlsym(object, "watch_open");
	*(void **)&plugin.sites = dlsym(object, "watch_sites");
	if (!first || !plugin.open || !plugin.sites)
		return -ELIBACC;
	return first(0, &plugin.loader);
}

/* A hello as the process itself would send it. */
int load_open(pid_t pid, uint64_t log_bytes, struct events_hello *hello, int *fds)
{
	const size_t bytes = log_bytes ?: WATCH_LOG_BYTES;
	const struct watch_site *sites;
	struct watch_fds log;
	uint32_t space;
	size_t n;
	int err;

	if (!plugin.tried)
		plugin.error = load();
	plugin.tried = true;
	err = plugin.error ?: plugin.open(plugin.loader, pid, bytes, &log, &space);
	if (err)
		return err;
	n = plugin.sites(plugin.loader, &sites);
	hello->error = 0;
	hello->pid = pid;
	hello->helper = 0;
	hello->log_bytes = bytes;
	hello->n_sites = n < EVENTS_SITES ? (uint32_t)n : EVENTS_SITES;
	for (uint32_t i = 0; i < hello->n_sites; i++) {
		snprintf(hello->sites[i].name, EVENTS_NAME, "%s", sites[i].name);
		hello->sites[i].attached = sites[i].attached;
		hello->sites[i].error = sites[i].error;
	}
	memcpy(fds, (const int[]){ log.log, log.space, log.global, log.links },
	       EVENTS_FDS_LEAST * sizeof(int));
	return 0;
}
