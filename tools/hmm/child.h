/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A program as a child. Signals that come to the tool are meant for it and are passed on: a caller
 * that ends the program by a signal need not know that there is a tool. SIGKILL cannot be passed
 * on; the kernel sends it to the program if the tool ends before it.
 */
#ifndef TOOLS_HMM_CHILD_H
#define TOOLS_HMM_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#define EXIT_NO_EXEC 126 /* the program is there and cannot be run, as a shell has it */
#define EXIT_NO_FILE 127 /* there is no such program */
#define EXIT_SIGNAL 128  /* and the number of the signal that ended it */

struct child {
	pid_t pid;
	int status;     /* of waitpid(), when it has ended */
	int signal_fd;  /* readable when child_signals() has something to do */
	int pipe[2];    /* says why execve() failed */
	sigset_t taken; /* signals that are read from signal_fd */
	sigset_t before;
	struct sigaction child_before;
};

/*
 * Starts it, and takes the signals of this process until it has ended: they stay taken. 0 or
 * -errno of fork(). Whether it could be executed says child_executed().
 */
int child_start(struct child *c, const char *path, char **argv);
/* 0: it runs; -errno of execve(): it has ended. Waits until one of both is known. */
int child_executed(struct child *c);
/* Passes on the signals that have come. True: the child has ended. Does not wait. */
bool child_signals(struct child *c);
/* Waits until it has ended. */
void child_wait(struct child *c);

/* What a shell makes of the status of waitpid(). */
int status_in_shell(int status);

#endif
