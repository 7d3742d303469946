// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Processes that become others: daemons, users without privilege; several domains in a row. */
#include "ofi_stage.h"

#include <grp.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int status_of_daemon(void (*run)(void))
{
	int pipes[2];
	int status = 99;
	pid_t pid;

	CHECK(!pipe(pipes));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		close(pipes[0]);
		CHECK(!daemon(1, 1));
		run();
		status = 0;
		_exit(write(pipes[1], &status, sizeof(status)) < 0);
	}
	close(pipes[1]);
	if (read(pipes[0], &status, sizeof(status)) != sizeof(status))
		status = 98;
	waitpid(pid, NULL, 0);
	return status;
}

static void served_later(void)
{
	struct ofi_cache *cache = stage_open();
	uint64_t *at = stage_map();

	if (MONITOR_WHY_REASON(atomic_load(&stage_counters()->why)) == MONITOR_WHY_ATTACH)
		return;
	stage_warm(cache, at);
	CHECK(!munmap(at, BUFFER) && stage_map_at(at));
	stage_paint(at);
	CHECK(stage_use(cache, at) == USE_MISS);
	stage_warm(cache, at);
}

/* daemon() between the import and the first domain: it is served. */
static void run_daemon_before(void)
{
	stage_load();
	CHECK(!stage_import());
	CHECK(!status_of_daemon(served_later));
	if (MONITOR_WHY_REASON(atomic_load(&stage_counters()->why)) == MONITOR_WHY_ATTACH)
		stage_skip("this process cannot have a userfaultfd");
}

static uint64_t *inherited;

static void never_cached(void)
{
	for (unsigned int n = 0; n < 10; n++) {
		CHECK(stage_use(stage_cache(), inherited) == USE_MISS);
		CHECK(!munmap(inherited, BUFFER) && stage_map_at(inherited));
		stage_paint(inherited);
	}
}

/* daemon() after the first domain: everything is registered each time. */
static void run_daemon_after(void)
{
	inherited = stage_map();
	stage_begin();
	stage_warm(stage_cache(), inherited);
	CHECK(!status_of_daemon(never_cached));
}

static void run_unprivileged(void)
{
	uint64_t *at = stage_map();

	stage_load();
	if (!getuid())
		CHECK(!setgroups(0, NULL) && !setgid(65534) && !setuid(65534));
	CHECK(!prctl(PR_SET_DUMPABLE, 1));
	CHECK(!stage_import());
	{
		struct ofi_cache *cache = stage_open();

		if (MONITOR_WHY_REASON(atomic_load(&stage_counters()->why)) == MONITOR_WHY_ATTACH)
			stage_skip("this user cannot have a userfaultfd");
		for (unsigned int n = 0; n < 100; n++) {
			stage_warm(cache, at);
			CHECK(!munmap(at, BUFFER) && stage_map_at(at));
			stage_paint(at);
			CHECK(stage_use(cache, at) == USE_MISS);
		}
	}
}

/* The last cache ends, and another begins: libfabric stops the monitor and starts it again. */
static void run_restarted(void)
{
	uint64_t *at = stage_map();

	stage_begin();
	stage_warm(stage_cache(), at);
	ofi_cache_close(stage_cache());
	for (unsigned int n = 0; n < 50; n++) {
		struct ofi_cache *cache = stage_open();

		CHECK(stage_use(cache, at) == USE_MISS);
		stage_warm(cache, at);
		CHECK(!munmap(at, BUFFER) && stage_map_at(at));
		stage_paint(at);
		CHECK(stage_use(cache, at) == USE_MISS);
		ofi_cache_close(cache);
	}
}

const struct scenario process_scenarios[] = {
	{ "daemon-before", run_daemon_before },
	{ "daemon-after", run_daemon_after },
	{ "unprivileged", run_unprivileged },
	{ "restarted", run_restarted },
	{ NULL, NULL },
};
