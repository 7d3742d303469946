/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* child: processes that a test makes, by fork() or by a clone which libc does not see. */
#ifndef TESTS_CHILD_H
#define TESTS_CHILD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static inline pid_t raw_clone(unsigned long flags)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD | flags, 0, 0, 0, 0);
}

static inline int status_of(pid_t pid)
{
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* A child that does not outlive a test that failed. */
static inline pid_t fork_tied(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/* Run a function in a child, as nobody if we are root; its exit status is the result. */
static inline int in_child(int (*fn)(void), bool unprivileged)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		if (unprivileged && !getuid() &&
		    (setgroups(0, NULL) || setgid(65534) || setuid(65534)))
			_exit(99);
		/* else /proc/self belongs to root on */
		prctl(PR_SET_DUMPABLE, 1);
		_exit(fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#endif
