// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "count.h"

/* Marks for the tracer: the child closes a descriptor number that cannot exist. */
enum mark { MARK_BEGIN = INT_MIN + 0x686d, MARK_END, MARK_FINISH };

#define THREADS_MAX 256
#define TOO_LONG 60 /* s */

/* Of one operation: of the thread that operates, and of the others. */
struct counted {
	uint32_t own;
	uint32_t others;
};

/* Shared with the child. */
struct count {
	bool traced;
	int error;         /* of run() */
	unsigned int done; /* operations that are complete */
	bool inside;       /* between the two marks */
	bool begun;        /* one is not complete yet */
	pid_t tid;         /* who operates */
	struct counted now;
	struct counted op[COUNT_OPS];
	/* of the child that counts its own sleeps */
	uint64_t own_before;
	uint64_t others_before;
};

/*
 * ---- both ways
 * -------------------------------------------------------------------------------------
 */

static void complete(struct count *c)
{
	if (c->begun && c->done < COUNT_OPS)
		c->op[c->done++] = c->now;
	c->begun = false;
}

static int judge(struct count *c, struct count_result *result)
{
	double values[COUNT_OPS];

	if (c->error)
		return c->error;
	if (c->done != COUNT_OPS)
		return -ENODATA;
	for (unsigned int i = 0; i < COUNT_OPS; i++)
		values[i] = c->op[i].own + c->op[i].others;
	result->median = bench_percentile(values, COUNT_OPS, 50);
	result->most = values[COUNT_OPS - 1];
	return 0;
}

static void child(struct count *c, int (*run)(struct count *c))
{
	alarm(TOO_LONG);
	if (c->traced) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			c->error = -errno;
		else
			raise(SIGSTOP);
	}
	if (!c->error)
		c->error = run(c);
	_exit(0);
}

/*
 * ---- system calls
 * ------------------------------------------------------------------------------------
 */

/* By who traces, at a call of the child's. */
static void take_call(struct count *c, pid_t tid, const struct __ptrace_syscall_info *info)
{
	const int mark = (int)info->entry.args[0];

	if (info->entry.nr != SYS_close || mark < MARK_BEGIN || mark > MARK_FINISH) {
		if (tid != c->tid)
			c->now.others++;
		else if (c->inside)
			c->now.own++;
		return;
	}
	if (mark != MARK_END)
		complete(c);
	if (mark == MARK_BEGIN) {
		c->now = (struct counted){ 0 };
		c->tid = tid;
		c->begun = true;
	}
	c->inside = mark == MARK_BEGIN;
}

static void stopped(struct count *c, pid_t tid, int status)
{
	const int signal = WSTOPSIG(status);
	struct __ptrace_syscall_info info;
	long deliver = 0;

	if (signal == (SIGTRAP | 0x80)) {
		if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) > 0 &&
		    info.op == PTRACE_SYSCALL_INFO_ENTRY)
			take_call(c, tid, &info);
	} else if (!(status >> 16) && signal != SIGSTOP && signal != SIGTRAP) {
		deliver = signal; /* a thread that is new stops once by SIGSTOP */
	}
	ptrace(PTRACE_SYSCALL, tid, NULL, deliver);
}

/* Until the child and all that it made have ended. */
static void trace(struct count *c)
{
	int status;
	pid_t tid;

	while ((tid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR)
		if (tid > 0 && WIFSTOPPED(status))
			stopped(c, tid, status);
}

static int trace_begin(pid_t pid)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
			     PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL;
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return -EPERM;
	if (!ptrace(PTRACE_SETOPTIONS, pid, NULL, options) &&
	    !ptrace(PTRACE_SYSCALL, pid, NULL, NULL))
		return 0;
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -EPERM;
}

/*
 * ---- sleeps
 * ------------------------------------------------------------------------------------------
 */

/* Of a thread; 0 if it has ended. */
static uint64_t switches_of(const char *tid)
{
	unsigned long long n = 0;
	char path[64], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", tid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "voluntary_ctxt_switches: %llu", &n) == 1)
			break;
	if (f)
		fclose(f);
	return n;
}

static uint64_t switches_of_others(pid_t self)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *d;
	uint64_t n = 0;

	while (dir && (d = readdir(dir)))
		if (d->d_name[0] != '.' && atoi(d->d_name) != self)
			n += switches_of(d->d_name);
	if (dir)
		closedir(dir);
	return n;
}

static uint64_t own_switches(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) ? 0 : (uint64_t)usage.ru_nvcsw;
}

static void take_others(struct count *c)
{
	if (c->begun)
		c->now.others = (uint32_t)(switches_of_others(c->tid) - c->others_before);
	complete(c);
}

/*
 * ---- marks
 * -------------------------------------------------------------------------------------------
 */

void count_begin(struct count *c)
{
	if (c->traced) {
		syscall(SYS_close, MARK_BEGIN);
		return;
	}
	take_others(c);
	c->tid = (pid_t)syscall(SYS_gettid);
	c->now = (struct counted){ 0 };
	c->begun = true;
	c->others_before = switches_of_others(c->tid);
	c->own_before = own_switches();
}

void count_end(struct count *c)
{
	if (c->traced)
		syscall(SYS_close, MARK_END);
	else
		c->now.own = (uint32_t)(own_switches() - c->own_before);
}

void count_finish(struct count *c)
{
	if (c->traced)
		syscall(SYS_close, MARK_FINISH);
	else
		take_others(c);
}

/*
 * ---- a child
 * ------------------------------------------------------------------------------------------
 */

static int count(int (*run)(struct count *c), bool traced, struct count_result *result)
{
	struct count *c =
		mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status, ret = 0;
	pid_t pid;

	if (c == MAP_FAILED)
		return -errno;
	c->traced = traced;
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		ret = -errno;
	else if (!pid)
		child(c, run);
	else if (!traced)
		waitpid(pid, &status, 0);
	else if (!(ret = trace_begin(pid)))
		trace(c);
	if (!ret)
		ret = judge(c, result);
	munmap(c, sizeof(*c));
	return ret;
}

int count_calls(int (*run)(struct count *c), struct count_result *result)
{
	return count(run, true, result);
}

int count_sleeps(int (*run)(struct count *c), struct count_result *result)
{
	return count(run, false, result);
}
