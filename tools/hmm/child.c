// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

int status_in_shell(int status)
{
	return WIFSIGNALED(status) ? EXIT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

/*
 * All but those that stop and continue: the terminal sends them to both. Blocked, and not handled:
 * what the tool's caller ignores (nohup) stays ignored. A fault of the tool itself ends it all the
 * same: the kernel does not let that be blocked, nor abort() of libc. A report that nobody reads
 * any more does not end the program.
 */
static void take_signals(struct child *c)
{
	static const int left[] = { SIGSTOP, SIGKILL, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT };
	struct sigaction child = { .sa_handler = SIG_DFL };

	sigfillset(&c->taken);
	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
		sigdelset(&c->taken, left[i]);
	sigprocmask(SIG_BLOCK, &c->taken, &c->before);
	/* Ignored, it would take the child's status away. */
	sigaction(SIGCHLD, &child, &c->child_before);
}

/* In the child. */
static void give_back(const struct child *c)
{
	sigaction(SIGCHLD, &c->child_before, NULL);
	sigprocmask(SIG_SETMASK, &c->before, NULL);
}

/* In the child: it ends with the tool. */
static void end_with(pid_t tool)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != tool)
		raise(SIGKILL);
}

int child_start(struct child *c, const char *path, char **argv)
{
	const pid_t tool = getpid();
	int err;

	if (pipe2(c->pipe, O_CLOEXEC))
		return -errno;
	take_signals(c);
	c->signal_fd = signalfd(-1, &c->taken, SFD_CLOEXEC | SFD_NONBLOCK);
	c->pid = c->signal_fd < 0 ? -1 : fork();
	if (!c->pid) {
		end_with(tool);
		give_back(c);
		/* A script without "#!" is the shell's, as in a shell. */
		execvp(path, argv);
		err = errno;
		_exit(write(c->pipe[1], &err, sizeof(err)) == sizeof(err) ? EXIT_NO_EXEC
									  : EXIT_NO_FILE);
	}
	err = c->pid < 0 ? -errno : 0;
	close(c->pipe[1]);
	if (err)
		close(c->pipe[0]);
	return err;
}

int child_executed(struct child *c)
{
	int error = 0;
	ssize_t n;

	/* A success closes the pipe. */
	do
		n = read(c->pipe[0], &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	close(c->pipe[0]);
	if (n != sizeof(error))
		return 0;
	child_wait(c);
	return -error;
}

/*
 * A key of the terminal reaches the child as well, if it is not a group of its own. A SIGPIPE of
 * the tool's own says that nobody reads its report.
 */
static bool is_not_for_child(const struct signalfd_siginfo *info)
{
	if (info->ssi_signo == SIGPIPE)
		return (pid_t)info->ssi_pid == getpid();
	return info->ssi_code == SI_KERNEL &&
	       (info->ssi_signo == SIGINT || info->ssi_signo == SIGQUIT ||
		info->ssi_signo == SIGWINCH);
}

bool child_signals(struct child *c)
{
	struct signalfd_siginfo info;

	while (read(c->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD) {
			if (waitpid(c->pid, &c->status, WNOHANG) == c->pid)
				return true;
		} else if (!is_not_for_child(&info)) {
			kill(c->pid, (int)info.ssi_signo);
		}
	}
	return false;
}

void child_wait(struct child *c)
{
	struct pollfd fd = { .fd = c->signal_fd, .events = POLLIN };

	while (!child_signals(c))
		poll(&fd, 1, -1);
	close(c->signal_fd);
}
