// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The environment that the program gets. The tool changes its own, which it has no more use for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../attach.h"
#include "../command.h"
#include "../program.h"
#include "exec.h"

/* Both separate names in LD_PRELOAD. */
static bool contains(const char *list, const char *name)
{
	for (const char *p = list; *(p += strspn(p, ": ")); p += strcspn(p, ": "))
		if (strcspn(p, ": ") == strlen(name) && !strncmp(p, name, strlen(name)))
			return true;
	return false;
}

/* What is preloaded, the monitors in front of what the user preloads. */
static int set_preload(const struct run *r)
{
	const char *old = getenv("LD_PRELOAD");
	char list[(N_MONITORS + 1) * PATH_MAX] = "";
	size_t n = 0;

	for (int i = 0; i < N_MONITORS; i++) {
		const struct module *m = &r->modules[i];

		if (!m->wanted || !*m->path || (old && contains(old, m->path)))
			continue;
		if (strpbrk(m->path, ": "))
			return complain(EXIT_HOST,
					"'%s' cannot be preloaded: its name has a space or a colon",
					m->path);
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", n ? ":" : "", m->path);
	}
	return n ? program_preload(list) : 0;
}

/* UCX's hooks are left to libhmm-ucx.so, which turns them off where it serves. */
int set_environment(const struct run *r)
{
	char name[64];

	counters_name(&r->counters, name, sizeof(name));
	if (setenv("LIBHMM_MONITOR", r->monitor, 1) || setenv("LIBHMM_MONITOR_STATS", name, 1))
		return complain(EXIT_FAILED, "not enough memory");
	if (attach_provider != HMM_PROVIDER_AUTO &&
	    setenv("LIBHMM_PROVIDER", provider_name(attach_provider), 1))
		return complain(EXIT_FAILED, "not enough memory");
	return set_preload(r);
}
