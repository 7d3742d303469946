// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * client PATH [BYTES]: connects to hmm-watchd as the library does, and prints "watched BYTES SITES"
 * or "error ERRNO MS". Then it answers lines: "gone", "ended" and "again" (which connects once
 * more). "exec" executes a shell that keeps nothing. It ends with its input.
 */
#include "provider/watchd.h"
#include "kernel/abi/watch.h"
#include "base/deadline.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct watch_fds fds;
static int conn = -1;

static void connect_once(const char *path, size_t bytes)
{
	const struct watch_site *sites;
	const uint64_t begin = clock_ns();
	size_t n;
	int err = watchd_connect(path, &bytes, &fds, &conn, &sites, &n);

	if (err)
		printf("error %d %d\n", -err, (int)((clock_ns() - begin) / 1000000));
	else
		printf("watched %zu %zu\n", bytes, n);
}

static int ended(void)
{
	const struct watch_space *space =
		mmap(NULL, WATCH_PAGE, PROT_READ, MAP_SHARED, fds.space, 0);
	int ret;

	if (space == MAP_FAILED)
		return -1;
	ret = (int)space->ended;
	munmap((void *)space, WATCH_PAGE);
	return ret;
}

int main(int argc, char **argv)
{
	const size_t bytes = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
	char line[64];

	setvbuf(stdout, NULL, _IOLBF, 0);
	connect_once(argv[1], bytes);
	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "gone\n"))
			printf("%d\n", watchd_gone(conn));
		else if (!strcmp(line, "ended\n"))
			printf("%d\n", ended());
		else if (!strcmp(line, "again\n"))
			connect_once(argv[1], bytes);
		else if (!strcmp(line, "exec\n"))
			execl("/bin/sh", "sh", "-c",
			      "ls -l /proc/self/fd | grep -c -e socket: -e memfd", NULL);
	}
	return 0;
}
