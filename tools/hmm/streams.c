// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "streams.h"

void streams_begin(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
			continue;
		/*
		 * The lowest free number is this one. Opened the wrong way round: each use fails,
		 * as it should.
		 */
		if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			return;
	}
}

int streams_end(int status)
{
	static bool told;
	bool failed = ferror(stdout), again;
	int error;

	clearerr(stdout);
	again = fflush(stdout);
	error = errno;
	if (told || (!failed && !again))
		return status;
	told = true;
	/* The stream keeps no reason of what failed before: one more byte shows it. */
	if (!again)
		error = write(STDOUT_FILENO, "\n", 1) < 0 ? errno : 0;
	complain(EXIT_FAILED, "cannot write to standard output%s%s", error ? ": " : "",
		 error ? strerror(error) : "");
	return status == EXIT_DONE ? EXIT_FAILED : status;
}
