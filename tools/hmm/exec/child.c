// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The program as a child. Signals that come to the tool are meant for it and are passed on: a
 * caller that ends the program by a signal need not know that there is a tool. SIGKILL cannot be
 * passed on; the kernel sends it to the program if the tool ends before it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec.h"

struct signals {
	sigset_t taken;
	sigset_t before;
	struct sigaction child_before;
};

/*
 * All but those that stop and continue: the terminal sends them to both. Blocked, and not handled:
 * what the tool's caller ignores (nohup) stays ignored. A fault of the tool itself ends it all the
 * same: the kernel does not let that be blocked, nor abort() of libc.
 */
static void take_signals(struct signals *s)
{
	static const int left[] = { SIGSTOP, SIGKILL, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT };
	struct sigaction child = { .sa_handler = SIG_DFL };

	sigfillset(&s->taken);
	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
		sigdelset(&s->taken, left[i]);
	sigprocmask(SIG_BLOCK, &s->taken, &s->before);
	/* Ignored, it would take the child's status away. */
	sigaction(SIGCHLD, &child, &s->child_before);
}

/* In the child. */
static void give_back(const struct signals *s)
{
	sigaction(SIGCHLD, &s->child_before, NULL);
	sigprocmask(SIG_SETMASK, &s->before, NULL);
}

/* A key of the terminal reaches the child as well, if it is not a group of its own. */
static bool child_got_it(const siginfo_t *info)
{
	return info->si_code == SI_KERNEL &&
	       (info->si_signo == SIGINT || info->si_signo == SIGQUIT ||
		info->si_signo == SIGWINCH);
}

static void wait_for(pid_t child, const struct signals *s, int *status)
{
	siginfo_t info;

	for (;;) {
		if (sigwaitinfo(&s->taken, &info) < 0)
			continue;
		if (info.si_signo == SIGCHLD) {
			if (waitpid(child, status, WNOHANG) == child)
				return;
		} else if (!child_got_it(&info)) {
			kill(child, info.si_signo);
		}
	}
}

/* What execve() failed with, by the pipe that it closes if it succeeds; 0. */
static int exec_error(int fd)
{
	int error = 0;
	ssize_t n;

	do
		n = read(fd, &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	return n == sizeof(error) ? -error : 0;
}

/* In the child: it ends with the tool. */
static void end_with(pid_t tool)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != tool)
		raise(SIGKILL);
}

int run_child(const char *path, char **argv, int *status)
{
	const pid_t tool = getpid();
	struct signals signals;
	int ends[2], ret;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	take_signals(&signals);
	child = fork();
	if (!child) {
		end_with(tool);
		give_back(&signals);
		/* A script without "#!" is the shell's, as in a shell. */
		execvp(path, argv);
		ret = errno;
		_exit(write(ends[1], &ret, sizeof(ret)) == sizeof(ret) ? EXIT_NO_EXEC
								       : EXIT_NO_FILE);
	}
	ret = child < 0 ? -errno : 0;
	close(ends[1]);
	if (!ret)
		ret = exec_error(ends[0]);
	close(ends[0]);
	if (child > 0)
		wait_for(child, &signals, status);
	return ret;
}
