// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Architectures by their folders. */
#include "kbuild/arch.h"

#include <stdlib.h>
#include <string.h>

/* Architectures that share their source, or that were one under two names. */
static const char *arch_name(const char *s, size_t *n)
{
	static const char *const same[][2] = { { "um", "x86" },        { "i386", "x86" },
					       { "x86_64", "x86" },    { "ppc", "powerpc" },
					       { "ppc64", "powerpc" }, { "sparc64", "sparc" },
					       { "sh64", "sh" },       { "s390x", "s390" } };

	for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
		if (strlen(same[i][0]) == *n && !strncmp(same[i][0], s, *n)) {
			*n = strlen(same[i][1]);
			return same[i][1];
		}
	return s;
}

/* Architectures beyond the number of bits have all bits, too. */
uint64_t arches_of(struct arches *a, const char *path)
{
	const char *name;
	size_t n;

	if (strncmp(path, "arch/", 5) || !strchr(path + 5, '/'))
		return UINT64_MAX;
	n = strcspn(path + 5, "/");
	name = arch_name(path + 5, &n);
	for (uint32_t i = 0; i < a->n; i++)
		if (strlen(a->names[i]) == n && !strncmp(a->names[i], name, n))
			return 1ull << i;
	if (a->n == ARCHES || !(a->names[a->n] = strndup(name, n)))
		return UINT64_MAX;
	return 1ull << a->n++;
}

void arches_fini(struct arches *a)
{
	for (uint32_t i = 0; i < a->n; i++)
		free(a->names[i]);
}
