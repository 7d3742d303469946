/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#include "mm/thread.h"
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Decimal of a tid. */
static char *put_number(char *p, pid_t tid)
{
	char digits[12];
	int n = 0;

	do {
		digits[n++] = (char)('0' + tid % 10);
		tid /= 10;
	} while (tid);
	while (n)
		*p++ = digits[--n];
	return p;
}

/* A whole small file: bytes, or -1 and why. */
static ssize_t read_small(const char *path, char *buf, size_t size, int *why)
{
	ssize_t n = -1;
	int fd;

	opening_begin();
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		n = read(fd, buf, size);
	*why = errno;
	if (fd >= 0)
		close(fd);
	opening_end();
	return n;
}

/* "running", "NR a1 .. a6 SP PC", or "-1 SP PC" */
static enum thread_state parse(const char *line, long *nr)
{
	const char *pc = strrchr(line, ' ');

	if (line[0] == 'r' || !pc || !strncmp(pc, " 0x0\n", 5))
		return THREAD_RUNS;
	*nr = strtol(line, NULL, 0);
	return THREAD_SLEEPS;
}

enum thread_state thread_state(pid_t tid, long *nr)
{
	char path[64] = "/proc/self/task/";
	char line[256];
	ssize_t n;
	int saved;

	strcpy(put_number(path + strlen(path), tid), "/syscall");
	n = read_small(path, line, sizeof(line) - 1, &saved);
	if (n == -1 && saved == ENOENT)
		return THREAD_GONE;
	if (n <= 0)
		return n < 0 && saved == ESRCH ? THREAD_GONE : THREAD_RUNS;
	line[n] = 0;
	return parse(line, nr);
}

bool thread_stopped(pid_t tid)
{
	char path[64] = "/proc/self/task/";
	char line[256];
	const char *state;
	ssize_t n;
	int saved;

	strcpy(put_number(path + strlen(path), tid), "/stat");
	n = read_small(path, line, sizeof(line) - 1, &saved);
	line[n > 0 ? n : 0] = 0;
	state = strrchr(line, ')');
	return state && state[1] == ' ' && (state[2] == 't' || state[2] == 'T');
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
