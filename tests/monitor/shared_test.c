// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * shared_test HOW [PLUGIN]: libhmm-ofi.so in front of the shared libfabric of a program that knows
 * nothing of it. The program starts itself anew with LD_PRELOAD and counters that it can read.
 *
 *	plugin	libfabric comes with a plug-in that is loaded for itself alone, and goes with it
 *	global	it comes with a library that everybody sees; each version of fi_getinfo()
 *	absent	there is none: the function says so
 *	handle	the program takes the function out of libfabric's handle, and libfabric's layers
 *		call it by its name
 *	old, unwanted, disabled
 */
#include "../../monitor/stats.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define COUNTERS "LIBHMM_TEST_COUNTERS"

static struct monitor_stats *stats;
static int failures;

static void check(bool is, const char *what)
{
	printf("%s %s\n", is ? "ok" : "not ok", what);
	failures += !is;
}

static int start_anew(char **argv)
{
	const struct monitor_stats empty = { .magic = MONITOR_STATS_MAGIC, .size = sizeof(empty) };
	int fd = memfd_create("stats", 0);
	char path[64];
	char number[16];

	if (fd < 0 || write(fd, &empty, sizeof(empty)) != sizeof(empty))
		return 2;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	snprintf(number, sizeof(number), "%d", fd);
	setenv(MONITOR_STATS_ENV, path, 1);
	setenv(COUNTERS, number, 1);
	setenv("LD_PRELOAD", getenv("LIBHMM_OFI"), 1);
	execv("/proc/self/exe", argv);
	return 2;
}

static bool map_counters(void)
{
	stats = mmap(NULL, sizeof(*stats), PROT_READ, MAP_SHARED, atoi(getenv(COUNTERS)), 0);
	return stats != MAP_FAILED;
}

static bool fabric_is_loaded(void)
{
	void *handle = dlopen("libfabric.so.1", RTLD_LAZY | RTLD_NOLOAD);

	if (handle)
		dlclose(handle);
	return handle;
}

/* The plug-in's function: asks libfabric for providers. */
static void *load(const char *path, int scope, int (**ask)(void))
{
	void *handle = dlopen(path, RTLD_NOW | scope);

	if (!handle)
		printf("# %s\n", dlerror());
	*ask = handle ? (int (*)(void))dlsym(handle, "plugin_ask") : NULL;
	return handle;
}

static void run_plugin(const char *path)
{
	int (*ask)(void);
	void *handle = load(path, RTLD_LOCAL, &ask);
	void *memory;

	if (!ask) {
		check(false, "the plug-in is loaded");
		return;
	}
	check(!ask() && !ask(), "libfabric answers the plug-in");
	check(atomic_load(&stats->ofi.served) == 1, "the monitor was imported, once");
	dlclose(handle);
	check(fabric_is_loaded(), "libfabric stays after the plug-in went");
	memory = mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(memory != MAP_FAILED && !munmap(memory, 1 << 20), "memory goes");
}

static void run_global(const char *path)
{
	static const char *const nodes[] = { "FABRIC_1.0", "FABRIC_1.1", "FABRIC_1.2", "FABRIC_1.3",
					     NULL };
	int (*ask)(void);

	check(load(path, RTLD_GLOBAL, &ask), "the library is loaded");
	for (int i = 0; nodes[i]; i++) {
		int (*getinfo)(unsigned int, const char *, const char *, uint64_t, const void *,
			       void **) =
			(__typeof__(getinfo))dlvsym(RTLD_DEFAULT, "fi_getinfo", nodes[i]);
		void *info = NULL;

		check(getinfo && (!getinfo(1U << 16, NULL, NULL, 0, NULL, &info) || !info),
		      nodes[i]);
	}
	check(dlsym(RTLD_DEFAULT, "fi_getinfo"), "without a version");
	check(ask && !ask(), "libfabric answers");
	check(atomic_load(&stats->ofi.served) == 1, "the monitor was imported, once");
}

typedef int getinfo_fn(unsigned int, const char *, const char *, uint64_t, const void *, void **);

static void run_absent(void)
{
	getinfo_fn *getinfo = (getinfo_fn *)dlsym(RTLD_DEFAULT, "fi_getinfo");
	void *info = NULL;

	check(!fabric_is_loaded(), "libfabric is not there");
	check(getinfo && getinfo(1U << 16 | 14, NULL, NULL, 0, NULL, &info) == -ENOSYS && !info,
	      "and is not made up");
}

static void run_handle(void)
{
	void *handle = dlopen("libfabric.so.1", RTLD_NOW);
	getinfo_fn *getinfo = (getinfo_fn *)(handle ? dlsym(handle, "fi_getinfo") : NULL);
	void *info = NULL;

	check(getinfo && (!getinfo(1U << 16 | 14, NULL, NULL, 0, NULL, &info) || !info),
	      "libfabric answers");
	check(atomic_load(&stats->ofi.served) == 1, "the monitor was imported, once");
}

static void run_refused(const char *path, enum monitor_why why)
{
	int (*ask)(void);

	load(path, RTLD_LOCAL, &ask);
	check(ask && !ask(), "libfabric answers");
	check(!atomic_load(&stats->ofi.served), "the monitor was not imported");
	check(MONITOR_WHY_REASON(atomic_load(&stats->ofi.why)) == why, "and says why");
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	if (!getenv(COUNTERS))
		return start_anew(argv);
	if (!map_counters())
		return 2;
	check(atomic_load(&stats->ofi.loaded) == 1, "the monitor is loaded");
	if (!strcmp(argv[1], "plugin"))
		run_plugin(argv[2]);
	else if (!strcmp(argv[1], "global"))
		run_global(argv[2]);
	else if (!strcmp(argv[1], "absent"))
		run_absent();
	else if (!strcmp(argv[1], "handle"))
		run_handle();
	else
		run_refused(argv[2],
			    !strcmp(argv[1], "old") ? MONITOR_WHY_OLD : MONITOR_WHY_DISABLED);
	return failures != 0;
}
