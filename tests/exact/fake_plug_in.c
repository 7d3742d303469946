// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A libhmm-watch.so that says where it lies, and refuses: with the error PLUG_IN_ERROR. */
#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

int watch_open_self(unsigned int flags, size_t log_bytes, void *fds, const void **sites, size_t *n);
int watch_open_self(unsigned int flags, size_t log_bytes, void *fds, const void **sites, size_t *n)
{
	const char *error = getenv("PLUG_IN_ERROR");
	Dl_info info;

	if (dladdr((void *)&watch_open_self, &info))
		printf("plug-in %s\n", info.dli_fname);
	fflush(stdout);
	return error ? -atoi(error) : -1;
}
