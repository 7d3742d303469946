// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* unloaded PLUGIN: memory that a plug-in had cached is unmapped after the plug-in is gone. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUFFER (16UL << 12)
#define LIMIT_S 110

int main(int argc, char **argv)
{
	void *at = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *plugin = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	int (*use)(uint64_t addr, uint64_t length);
	int err;

	alarm(LIMIT_S);
	use = plugin ? (int (*)(uint64_t, uint64_t))dlsym(plugin, "plugin_use") : NULL;
	if (!use || at == MAP_FAILED) {
		puts(use ? "mmap" : dlerror());
		return 1;
	}
	memset(at, 1, BUFFER);
	err = use((uintptr_t)at, BUFFER);
	if (!err)
		err = use((uintptr_t)at, BUFFER);
	if (err) {
		printf("get: %s\n", strerror(-err));
		return 1;
	}
	dlclose(plugin);
	if (dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD)) {
		puts("the plug-in is still there");
		return 1;
	}
	return madvise(at, BUFFER, MADV_DONTNEED) || munmap(at, BUFFER);
}
