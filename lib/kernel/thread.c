// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "kernel/thread.h"
#include "base/epoch.h"
#include "base/mutation.h"
#include "base/number.h"
#include "base/opening.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * Reads a file of /proc/self/task/TID from its beginning. Returns its length, or -errno. Is no
 * point of cancellation.
 */
static ssize_t read_file(pid_t tid, const char *name, char *buf, size_t size)
{
	char path[64] = "/proc/self/task/";
	ssize_t n;
	int fd;

	strcpy(put_number(path + strlen(path), (uint64_t)tid, 10), name);
	opening_begin();
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -errno : syscall(SYS_read, fd, buf, size - 1);
	if (fd >= 0 && n < 0)
		n = -errno;
	if (fd >= 0)
		syscall(SYS_close, fd);
	opening_end();
	if (fd < 0)
		return n;
	buf[n > 0 ? n : 0] = 0;
	return n;
}

/* /proc may not show the thread, so a system call is asked. */
static bool is_gone(pid_t tid)
{
	return syscall(SYS_tgkill, getpid(), tid, 0) && errno == ESRCH;
}

/*
 * Reads stat: "TID (NAME) STATE ...". Returns the state, or NULL; *name points at "(NAME)". The
 * name may have any character in it.
 */
static const char *read_stat(pid_t tid, char *buf, size_t size, const char **name)
{
	const char *end;

	if (read_file(tid, "/stat", buf, size) <= 0)
		return NULL;
	*name = strchr(buf, '(');
	end = strrchr(buf, ')');
	return *name && end && end[1] == ' ' ? end + 2 : NULL;
}

/*
 * Judges a thread by its state alone. A thread in a discard that waits, for a lock or until its
 * event is read, has state 'D', as only a fatal signal ends that wait. Kernel threads that poll are
 * recognised by their names.
 */
static enum thread_state by_stat(pid_t tid, bool no_registers, long *nr)
{
	char line[256];
	const char *name;
	const char *state = read_stat(tid, line, sizeof(line), &name);

	if (!state)
		return is_gone(tid) ? THREAD_GONE : THREAD_RUNS;
	if (no_registers && (!strncmp(name, "(iou-sqp-", 9) || !strncmp(name, "(vhost-", 7)))
		return THREAD_POLLS;
	switch (*state) {
	case 'S':
		*nr = -1;
		return THREAD_SLEEPS;
	case 'D':
		*nr = SYS_madvise;
		return THREAD_SLEEPS;
	case 'Z':
	case 'X':
		return THREAD_ENDED;
	default:
		return THREAD_RUNS;
	}
}

/* "running", "NR a1 .. a6 SP PC", or "-1 SP PC" */
enum thread_state thread_state(pid_t tid, long *nr)
{
	char line[256];
	const char *pc;
	ssize_t n = read_file(tid, "/syscall", line, sizeof(line));

	if (n == -EACCES || n == -EPERM)
		return by_stat(tid, false, nr);
	if (n <= 0)
		return is_gone(tid) ? THREAD_GONE : THREAD_RUNS;
	pc = strrchr(line, ' ');
	if (line[0] == 'r' || !pc)
		return THREAD_RUNS;
	if (!strncmp(pc, " 0x0\n", 5))
		return by_stat(tid, true, nr);
	*nr = strtol(line, NULL, 0);
	return THREAD_SLEEPS;
}

bool thread_stopped(pid_t tid)
{
	char line[256];
	const char *name;
	const char *state = read_stat(tid, line, sizeof(line), &name);

	return state && (*state == 't' || *state == 'T');
}

bool thread_waits(pid_t tid)
{
	char line[256];
	const char *name;
	const char *state = read_stat(tid, line, sizeof(line), &name);

	return state && (*state == 'S' || *state == 'D');
}

/*
 * CPUCLOCK_VIRT of a thread (linux/posix-timers_types.h): the plain sum of the time that the kernel
 * has accounted to user mode, at ticks that found the thread there or when it left. The times in
 * /proc are scaled, and prove nothing.
 */
bool thread_user_ns(pid_t tid, uint64_t *ns)
{
	const clockid_t clock = (clockid_t)(~(unsigned int)tid << 3 | 4 | 1);
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		return false;
	*ns = (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
	return true;
}

static _Thread_local pid_t self __attribute__((tls_model("initial-exec")));

pid_t thread_self(void)
{
	if (!self)
		self = (pid_t)syscall(SYS_gettid);
	return self;
}

void thread_forked(void)
{
	self = 0;
}
