// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A program that knows nothing of UCX: ucx_host PLUGIN. It loads the plug-in, whose symbols and
 * those of UCX stay local, lets it register memory, unloads it, and unmaps the memory.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BUF 16384UL

#define MUST(x) ((x) ? (void)0 : (fprintf(stderr, "%d: %s\n", __LINE__, #x), exit(1)))

struct plugin {
	void *handle;
	int (*open)(void);
	uint64_t (*use)(void *buf, size_t length);
	void (*close)(void);
};

static void *map_at(void *at)
{
	void *p = mmap(at, BUF, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		       0);

	MUST(p != MAP_FAILED);
	return p;
}

static void load(struct plugin *p, const char *path)
{
	p->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!p->handle)
		fprintf(stderr, "%s\n", dlerror());
	MUST(p->handle);
	*(void **)&p->open = dlsym(p->handle, "plugin_open");
	*(void **)&p->use = dlsym(p->handle, "plugin_use");
	*(void **)&p->close = dlsym(p->handle, "plugin_close");
	MUST(!p->open());
}

/* A busy machine may be too slow for a lookup, which then finds nothing. */
static bool keeps(const struct plugin *p, void *buf)
{
	uint64_t last = p->use(buf, BUF);

	for (int i = 0; i < 1000; i++) {
		uint64_t id = p->use(buf, BUF);

		if (id && id == last)
			return true;
		last = id;
		usleep(10000);
	}
	return false;
}

int main(int argc, char **argv)
{
	void *buf = map_at((void *)0x7e9000000000); /* nobody else maps anything there */

	MUST(argc == 2 && !dlsym(RTLD_DEFAULT, "ucp_get_version"));
	for (int round = 0; round < 20; round++) {
		struct plugin p;
		uint64_t first;

		load(&p, argv[1]);
		MUST(keeps(&p, buf));
		first = p.use(buf, BUF);
		syscall(SYS_munmap, buf, BUF);
		map_at(buf);
		MUST(p.use(buf, BUF) != first);
		if (round % 2)
			p.close();
		MUST(!dlclose(p.handle));
		syscall(SYS_munmap, buf, BUF);
		map_at(buf);
	}
	return 0;
}
