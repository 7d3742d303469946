// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Scenes in processes of their own, each with a time limit. Those that wait cost nothing, so a few
 * run side by side; races and times are taken alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "demo.h"

#define JOBS 6
#define POLL_MS 2
#define SCENE_ALONE (SCENE_RACE | SCENE_COST | SCENE_HIT)

struct job {
	pid_t pid; /* 0: none */
	int from;
	uint64_t deadline;
	struct monitor *monitor;
	struct cell *cell;
};

static struct job jobs[JOBS];

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/*
 * Beside this executable, in another folder of the build, or installed, below another root perhaps.
 * False: nowhere.
 */
static bool find_file(const char *name, const char *installed, char *path)
{
	const size_t bin = strlen(STALE_DEMO_BIN);
	char self[PATH_MAX] = ".";
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	size_t length;

	if (n > 0) {
		self[n] = 0;
		*strrchr(self, '/') = 0;
	}
	for (int i = 0; i < 2; i++) {
		n = snprintf(path, PATH_MAX, "%s%s/%s", self, i ? "/../../monitor" : "", name);
		if (n < PATH_MAX && !access(path, R_OK))
			return true;
	}
	length = strlen(self);
	length = length < bin || strcmp(self + length - bin, STALE_DEMO_BIN) ? 0 : length - bin;
	n = snprintf(path, PATH_MAX, "%.*s%s/%s", (int)length, self, installed, name);
	return n < PATH_MAX && !access(path, R_OK);
}

bool demo_has(const struct monitor *monitor)
{
	char path[PATH_MAX];

	return find_file(monitor->program, STALE_DEMO_LIBEXEC, path);
}

/* Nobody but the monitor under test changes what a peer does. */
static void set_environment(const struct monitor *monitor, const char *allocator,
			    const char *preload)
{
	char both[2 * PATH_MAX];

	static const char *const others[] = { "LD_PRELOAD", "FI_MR_CACHE_MONITOR",
					      "UCX_MEM_MMAP_HOOK_MODE", "UCX_MEM_EVENTS",
					      "LIBHMM_MONITOR",
					      /* the allocator scene looks at what it gets */
					      "MALLOC_PERTURB_" };

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		unsetenv(others[i]);
	snprintf(both, sizeof(both), "%s%s%s", allocator ? allocator : "",
		 allocator && preload ? ":" : "", preload ? preload : "");
	if (both[0])
		setenv("LD_PRELOAD", both, 1);
	if (monitor->hook_mode)
		setenv("UCX_MEM_MMAP_HOOK_MODE", monitor->hook_mode, 1);
}

static _Noreturn void exec_scene(const struct demo *demo, const struct monitor *monitor,
				 const char *scene, const char *nobody, int to)
{
	char path[PATH_MAX], preload[PATH_MAX], races[16];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	dup2(to, 1);
	if (!demo->verbose)
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
	snprintf(races, sizeof(races), "%u", demo->races);
	if (!find_file(monitor->program, STALE_DEMO_LIBEXEC, path))
		_exit(127);
	if (monitor->preload && !find_file(monitor->preload, STALE_DEMO_LIB, preload))
		_exit(127);
	set_environment(monitor, demo->preload, monitor->preload ? preload : NULL);
	execl(path, path, monitor->name, scene, races, nobody, (char *)NULL);
	_exit(127);
}

static void start(const struct demo *demo, struct job *job, struct monitor *monitor,
		  const struct scene *scene, struct cell *cell, const char *nobody)
{
	unsigned int limit = demo->limit_ms;
	int pipes[2];

	if (scene->flags & SCENE_ALONE)
		limit *= 4;
	if (pipe2(pipes, O_CLOEXEC))
		return;
	*job = (struct job){ fork(), pipes[0], now_ms() + limit, monitor, cell };
	if (!job->pid)
		exec_scene(demo, monitor, scene->name, nobody, pipes[1]);
	close(pipes[1]);
}

static void take_line(struct cell *cell, char *line)
{
	int result, n = 0;

	line[strcspn(line, "\n")] = 0;
	if (sscanf(line, "%d %u %u %d %lf %lf %n", &result, &cell->stale, &cell->of, &cell->cached,
		   &cell->cost, &cell->beside, &n) < 6)
		return;
	cell->result = (enum result)result;
	snprintf(cell->why, sizeof(cell->why), "%s", n ? line + n : "");
}

static void end(struct job *job, int status, bool hung)
{
	char line[256] = "";
	struct cell *cell = job->cell;

	cell->result = hung ? RESULT_HANG : RESULT_CRASH;
	if (WIFSIGNALED(status) && !hung)
		snprintf(cell->why, sizeof(cell->why), "%s", strsignal(WTERMSIG(status)));
	fcntl(job->from, F_SETFL, O_NONBLOCK);
	if (!hung && read(job->from, line, sizeof(line) - 1) > 0)
		take_line(cell, line);
	if (WIFEXITED(status) && WEXITSTATUS(status)) {
		cell->result = RESULT_NO;
		job->monitor->unlinked = true;
		snprintf(cell->why, sizeof(cell->why), "%s",
			 WEXITSTATUS(status) == 127 ? "not built" : "not linked");
	}
	if (cell->result == RESULT_NO && !job->monitor->missing && cell->why[0]) {
		job->monitor->missing = true;
		snprintf(job->monitor->why, sizeof(job->monitor->why), "%s", cell->why);
	}
	close(job->from);
	job->pid = 0;
}

static void look_after(struct job *job)
{
	siginfo_t info = { 0 };
	bool ended, late = now_ms() >= job->deadline;
	int status;

	if (!job->pid)
		return;
	ended = !waitid(P_PID, (id_t)job->pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid;
	if (!ended && !late)
		return;
	/* The scene, and what it has forked. */
	kill(-job->pid, SIGKILL);
	kill(job->pid, SIGKILL);
	waitpid(job->pid, &status, 0);
	end(job, status, !ended);
}

/* A place for a job, when at most @others others run. */
static struct job *wait_place(unsigned int others)
{
	for (;;) {
		struct job *place = NULL;
		unsigned int running = 0;

		for (int i = 0; i < JOBS; i++) {
			look_after(&jobs[i]);
			if (jobs[i].pid)
				running++;
			else
				place = &jobs[i];
		}
		if (place && running <= others)
			return place;
		poll(NULL, 0, POLL_MS);
	}
}

static bool wants(const struct demo *demo, const struct scene *scene)
{
	return demo->only ? !strcmp(demo->only, scene->name) : scene->flags & demo->kinds;
}

static void run_monitor(const struct demo *demo, struct monitor *monitor)
{
	const struct scene *scene;

	for (unsigned int i = 0; (scene = scene_at(i)) && !monitor->missing; i++) {
		const bool alone = scene->flags & SCENE_ALONE;

		if (!wants(demo, scene))
			continue;
		start(demo, wait_place(alone ? 0 : JOBS - 1), monitor, scene, &monitor->cell[i],
		      NULL);
		/* One is enough to know that it is missing. */
		if (alone || !i)
			wait_place(0);
	}
}

static void run_as_nobody(const struct demo *demo, struct monitor *monitor)
{
	static const char *const names[] = { "race", "race-raw" };

	for (int i = 0; i < 2; i++) {
		start(demo, wait_place(0), monitor, scene_named(names[i]), &monitor->nobody[i],
		      "nobody");
		wait_place(0);
		monitor->missing = false;
	}
}

void demo_run(const struct demo *demo)
{
	for (struct monitor *m = monitors; m->name; m++) {
		for (int i = 0; i < SCENES_MAX; i++)
			m->cell[i].result = RESULT_NOT_RUN;
		m->nobody[0].result = m->nobody[1].result = RESULT_NOT_RUN;
		if (!m->wanted)
			continue;
		run_monitor(demo, m);
		wait_place(0);
		if (demo->nobody && !m->missing)
			run_as_nobody(demo, m);
	}
}
