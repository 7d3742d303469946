// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Names of lists: "obj-y", "STEM-objs". */
#include "kbuild/lists.h"

#include <string.h>

bool kbuild_top_list(const char *name)
{
	return (!strncmp(name, "obj-", 4) || !strncmp(name, "lib-", 4)) &&
	       strspn(name + 4, "ymn") == strlen(name + 4);
}

size_t kbuild_composite_stem(const char *name)
{
	const char *dash;
	size_t n = strlen(name);

	if (n > 7 && !strcmp(name + n - 7, "-objs-y"))
		return n - 7;
	dash = strrchr(name, '-');
	if (!dash || dash == name || kbuild_top_list(name))
		return 0;
	if (strcmp(dash, "-objs") && strspn(dash + 1, "ymn") != strlen(dash + 1))
		return 0;
	return (size_t)(dash - name);
}
