// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "object.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

static bool find(const char *root, const char *folder, const char *file, char *path)
{
	int n = snprintf(path, PATH_MAX, "%s%s/%s", root, folder, file);

	if (n > 0 && n < PATH_MAX && !access(path, R_OK))
		return true;
	*path = 0;
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

static bool find_either(const char *folder, const char *installed, const char *file, char *path)
{
	char own[PATH_MAX] = "";

	if (!own_folder(own, sizeof(own)) && find(own, folder, file, path))
		return true;
	root_of(own);
	return find(own, installed, file, path) || (*own && find("", installed, file, path));
}

bool object_find(const char *folder, const char *file, char *path)
{
	return find_either(folder, HMM_LIBDIR, file, path);
}

bool object_find_program(const char *folder, const char *file, char *path)
{
	return find_either(folder, HMM_LIBEXECDIR, file, path);
}
