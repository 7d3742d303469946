// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* hmm watchd: executes hmm-watchd, which is not in PATH. The options are its own. */
#include "command.h"
#include "object.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

int cmd_watchd(int argc, char **argv)
{
	char path[PATH_MAX];

	if (!object_find_program("/watchd", "hmm-watchd", path))
		return complain(EXIT_HOST, "hmm-watchd is not installed");
	argv[0] = (char *)"hmm-watchd";
	execv(path, argv);
	return complain(EXIT_FAILED, "%s: %s", path, strerror(errno));
}
