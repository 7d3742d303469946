// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The functions behind ours. Where the program is linked with UCX they are the next in the order of
 * symbols. Where a plug-in brought UCX with it (Open MPI's) its symbols are local, and are looked
 * for in the object by name. Such an object is kept from being unloaded, as the deliverer may be in
 * it.
 */
#include "ucx.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

struct search {
	const char *lib;
	char path[4096];
};

static int look(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct search *s = arg;
	const char *base = strrchr(info->dlpi_name, '/');
	const size_t n = strlen(s->lib);

	base = base ? base + 1 : info->dlpi_name;
	/* "libucs.so.0", "libucs-1a2b.so.0"; not "libucs_signal.so.0" */
	if (strncmp(base, s->lib, n) || (base[n] != '.' && base[n] != '-') ||
	    strlen(info->dlpi_name) >= sizeof(s->path))
		return 0;
	strcpy(s->path, info->dlpi_name);
	return 1;
}

void *ucx_find(const char *lib, const char *name)
{
	struct search s = { .lib = lib };
	void *fn = dlsym(RTLD_NEXT, name);
	void *object;

	if (fn || !dl_iterate_phdr(look, &s))
		return fn;
	object = dlopen(s.path, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
	return object ? dlsym(object, name) : NULL;
}
