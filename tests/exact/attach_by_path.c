// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * attach_by_path LIBHMM: attaches by the library at that path, with the kernel's log alone. LINKED:
 * by the library that is in this program. Prints the error; the library says why.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <hmm/mm.h>

int main(int argc, char **argv)
{
	struct hmm_mm_options options = HMM_MM_OPTIONS_INIT;
	int (*attach)(const struct hmm_mm_options *, struct hmm_mm **) = NULL;
	struct hmm_mm *mm;
#ifdef LINKED
	(void)argc;
	(void)argv;
	attach = hmm_mm_attach;
#else
	void *libhmm = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;

	if (libhmm)
		*(void **)&attach = dlsym(libhmm, "hmm_mm_attach");
#endif
	if (!attach)
		return 1;
	options.provider = HMM_PROVIDER_BPF;
	printf("error %d\n", -attach(&options, &mm));
	return 0;
}
