// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Whether UCX is served, and that it does not patch libc then. */
#include "ucx.h"
#include "monitor.h"

#include <stdio.h>
#include <stdlib.h>

struct monitor_counters *monitor_counters(void)
{
	return &stats_get()->ucx;
}

void ucx_unknown(const char *what)
{
	monitor_say(MONITOR_WHY_OLD, 0, what);
}

static void say_version(unsigned int major, unsigned int minor)
{
	char text[128];

	snprintf(text, sizeof(text), "UCX %u.%u is none of the versions %u.%u to %u.%u", major,
		 minor, UCX_MAJOR, UCX_MINOR_FIRST, UCX_MAJOR, UCX_MINOR_LAST);
	monitor_say(MONITOR_WHY_OLD, 0, text);
}

/* A program that has no libucp is judged by its caches. */
static bool known_version(void)
{
	void (*get)(unsigned int *, unsigned int *, unsigned int *);
	unsigned int major = 0;
	unsigned int minor = 0;
	unsigned int release = 0;

	*(void **)&get = UCX_NEXT("libucp", "ucp_get_version");
	if (!get)
		return true;
	get(&major, &minor, &release);
	if (major == UCX_MAJOR && minor >= UCX_MINOR_FIRST && minor <= UCX_MINOR_LAST)
		return true;
	say_version(major, minor);
	return false;
}

bool ucx_may_serve(void)
{
	static _Atomic int wanted; /* 0: not asked yet, 1: yes, 2: no */
	int is = atomic_load(&wanted);

	if (!is) {
		is = monitor_wanted("ucx") ? 1 : 2;
		atomic_store(&wanted, is);
	}
	return is == 1 && known_version();
}

/*
 * A constructor of libucs hands the configuration to libucm by this call, which then patches libc.
 * The third number of the structure is the way of hooking, 0 is none, in all versions that are
 * served.
 */
UCX_EXPORT void ucm_set_global_opts(int *opts);
void ucm_set_global_opts(int *opts)
{
	void (*next)(int *);
	int mode = opts[2];

	*(void **)&next = UCX_NEXT("libucm", "ucm_set_global_opts");
	if (ucx_may_serve())
		opts[2] = 0;
	next(opts);
	opts[2] = mode;
}

__attribute__((constructor)) static void start(void)
{
	stats_open();
	stats_add(&monitor_counters()->loaded);
	if (!monitor_wanted("ucx"))
		atomic_store(&monitor_counters()->why, MONITOR_WHY(MONITOR_WHY_DISABLED, 0));
}
