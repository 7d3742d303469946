// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Which files are read, and as what. */
#include "text/kind.h"

#include <stdbool.h>
#include <string.h>

static bool under(const char *path, const char *folder)
{
	return !strncmp(path, folder, strlen(folder));
}

/* Files that the kernel's own tools link into modules; no Makefile of the tree lists them. */
static bool of_modules(const char *path)
{
	return under(path, "scripts/livepatch/") || !strcmp(path, "scripts/module-common.c");
}

/* User space, and code that is linked apart from the kernel: it consumes no export. */
static bool outside_kernel(const char *path)
{
	static const char *const folders[] = { "Documentation/", "scripts/", "usr/",
					       "LICENSES/",      ".git/",    "debian/" };
	const char *boot;

	if (of_modules(path))
		return false;
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		if (under(path, folders[i]))
			return true;
	if (under(path, "tools/"))
		return !under(path, "tools/testing/nvdimm/") &&
		       !under(path, "tools/testing/cxl/") &&
		       !under(path, "tools/testing/selftests/");
	if (!under(path, "arch/"))
		return false;
	boot = strstr(path, "/boot/");
	return (boot && !under(boot, "/boot/startup/")) || strstr(path, "/purgatory/");
}

enum blob_kind blob_kind(const char *path)
{
	const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	const char *dot = strrchr(base, '.');

	if (under(base, "Kconfig") && !under(path, "Documentation/") && !under(path, "scripts/") &&
	    !under(path, "tools/"))
		return BLOB_KCONFIG;
	if (outside_kernel(path))
		return BLOB_SKIP;
	if (!strcmp(base, "Makefile") || !strcmp(base, "Kbuild") || under(base, "Makefile.") ||
	    under(base, "Kbuild."))
		return BLOB_MAKE;
	if (!dot)
		return BLOB_SKIP;
	if (!strcmp(dot, ".c") || !strcmp(dot, ".c_shipped"))
		return BLOB_C;
	if (!strcmp(dot, ".h") || !strcmp(dot, ".inc") || !strcmp(dot, ".def") ||
	    !strcmp(dot, ".tbl_h"))
		return BLOB_HEADER;
	if (!strcmp(dot, ".S") || !strcmp(dot, ".S_shipped"))
		return BLOB_ASM;
	if (!strcmp(dot, ".rs"))
		return BLOB_RUST;
	if (!strcmp(dot, ".mk") || !strcmp(dot, ".include"))
		return BLOB_MAKE;
	return BLOB_SKIP;
}
