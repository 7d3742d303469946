// SPDX-License-Identifier: GPL-2.0
/* run: one case in a process of its own. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "place.h"
#include "run.h"

#define EXIT_FAIL 1
#define EXIT_SKIP 77

void run_fail(struct run *r, const char *file, int line, const char *fmt, ...)
{
	const char *base = strrchr(file, '/');
	va_list args;
	int n;

	n = snprintf(r->out->reason, sizeof(r->out->reason), "%s:%d: ", base ? base + 1 : file,
		     line);
	va_start(args, fmt);
	vsnprintf(r->out->reason + n, sizeof(r->out->reason) - n, fmt, args);
	va_end(args);
	_exit(EXIT_FAIL);
}

void run_skip(struct run *r, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(r->out->reason, sizeof(r->out->reason), fmt, args);
	va_end(args);
	_exit(EXIT_SKIP);
}

static size_t pmd_size(void)
{
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "re");
	unsigned long size = 2ul << 20;

	if (f) {
		if (fscanf(f, "%lu", &size) != 1)
			size = 2ul << 20;
		fclose(f);
	}
	return size;
}

static unsigned int order_of(size_t size)
{
	unsigned int order = 0;

	while (size > 4096ul << order)
		order++;
	return order;
}

static void child(struct run *r, const struct variant *v)
{
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Mounts that a case makes end with it. */
	if (!geteuid() && !unshare(CLONE_NEWNS))
		prctl(PR_SET_NAME, "dax-mirror-case");
	r->peer_fd = -1;
	if (r->def->flags & WITH_PEER || v->by_other)
		peer_start(r);
	r->def->fn(r);
	r->ops->unmirror(r->t);
	_exit(0);
}

static int wait_for(pid_t pid, unsigned int seconds, int *status)
{
	struct timespec tick = { 0, 500000 }, now, begin;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	while (!waitpid(pid, status, WNOHANG)) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - begin.tv_sec > (time_t)seconds) {
			print_threads(pid);
			kill(pid, SIGKILL);
			waitpid(pid, status, 0);
			return -ETIME;
		}
		nanosleep(&tick, NULL);
	}
	return 0;
}

enum verdict run_case(const struct variant *v, const struct target_ops *ops, unsigned int seconds,
		      struct outcome *out)
{
	static unsigned int serial;
	struct run r = { .def = v->def,
			 .ops = ops,
			 .place = v->place,
			 .out = out,
			 .by_other = v->by_other,
			 .longer = v->longer };
	const bool destroys = v->def->flags & DESTROYS;
	struct mounted mounted;
	int status = 0;
	pid_t pid;

	memset(out, 0, sizeof(*out));
	r.page = 4096;
	r.pmd = pmd_size();
	r.unit = v->pmd ? r.pmd : 64 * r.page;
	r.order = v->pmd ? order_of(r.pmd) : 0;
	snprintf(r.dir, sizeof(r.dir), "%s/dmt.%d.%u", v->place->path, getpid(), serial++);
	snprintf(r.path, sizeof(r.path), "%s/file", r.dir);
	if (mkdir(r.dir, 0755)) {
		snprintf(out->reason, sizeof(out->reason), "%.100s: %s", r.dir, strerror(errno));
		return VERDICT_FAIL;
	}
	if (destroys && place_save(v->place, &mounted)) {
		snprintf(out->reason, sizeof(out->reason), "%.100s is not a mount point",
			 v->place->path);
		place_remove(r.dir);
		return VERDICT_SKIP;
	}
	fflush(stdout);
	pid = fork();
	if (!pid)
		child(&r, v);
	if (pid < 0 || wait_for(pid, seconds, &status))
		snprintf(out->reason, sizeof(out->reason), "no end after %u seconds", seconds);
	else if (WIFSIGNALED(status))
		snprintf(out->reason, sizeof(out->reason), "killed by signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	if (destroys && place_revive(&mounted)) {
		snprintf(out->reason + strlen(out->reason),
			 sizeof(out->reason) - strlen(out->reason),
			 "; %.100s cannot be mounted anew", v->place->path);
		return VERDICT_FAIL;
	}
	place_remove(r.dir);
	if (pid > 0 && WIFEXITED(status) && !WEXITSTATUS(status))
		return VERDICT_PASS;
	return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIP ? VERDICT_SKIP : VERDICT_FAIL;
}
