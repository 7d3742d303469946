// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Where the monitors' shared objects are. meson.build says where they get installed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "exec.h"

int own_folder(char *folder, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", folder, size - 1);
	char *slash;

	if (n < 0)
		return -errno;
	folder[n] = 0;
	slash = strrchr(folder, '/');
	if (!slash)
		return -ENOENT;
	*slash = 0;
	return 0;
}

static bool find(struct module *m, const char *root, const char *folder)
{
	int n = snprintf(m->path, sizeof(m->path), "%s%s/%s", root, folder, m->file);

	if (n > 0 && (size_t)n < sizeof(m->path) && !access(m->path, R_OK))
		return true;
	*m->path = 0;
	return false;
}

/* What stands before HMM_BINDIR where all was installed below another root; else "". */
static void root_of(char *own)
{
	const size_t length = strlen(own), bin = strlen(HMM_BINDIR);

	if (length >= bin && !strcmp(own + length - bin, HMM_BINDIR))
		own[length - bin] = 0;
	else
		*own = 0;
}

void modules_find(struct module *modules)
{
	char own[PATH_MAX] = "";
	bool built;

	for (int i = 0; i < N_MONITORS; i++) {
		built = !own_folder(own, sizeof(own)) && find(&modules[i], own, "/monitor");
		if (built)
			continue;
		root_of(own);
		if (!find(&modules[i], own, HMM_LIBDIR) && *own)
			find(&modules[i], "", HMM_LIBDIR);
	}
}
