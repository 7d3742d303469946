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
#include <stddef.h>
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
	int err = watchd_connect(path, 0, &bytes, &fds, &conn, &sites, &n);

	if (err)
		printf("error %d %d\n", -err, (int)((clock_ns() - begin) / 1000000));
	else
		printf("watched %zu %zu\n", bytes, n);
}

/* A member of the space's page. */
static uint64_t page_of(size_t offset)
{
	const char *page = mmap(NULL, WATCH_PAGE, PROT_READ, MAP_SHARED, fds.space, 0);
	uint64_t value;

	if (page == MAP_FAILED)
		return UINT64_MAX;
	value = __atomic_load_n((const uint64_t *)(page + offset), __ATOMIC_ACQUIRE);
	munmap((void *)page, WATCH_PAGE);
	return value;
}

/* How far the kernel has written into the log. The page is the second of a ring buffer. */
static uint64_t written(void)
{
	const long size = sysconf(_SC_PAGESIZE);
	const uint64_t *page = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fds.log, size);
	uint64_t value;

	if (page == MAP_FAILED)
		return 0;
	value = __atomic_load_n(page, __ATOMIC_ACQUIRE);
	munmap((void *)page, (size_t)size);
	return value;
}

static int change(void)
{
	const uint64_t before = written();
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return -1;
	*page = 1;
	munmap(page, 4096);
	return written() > before;
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
			printf("%d\n", (int)page_of(offsetof(struct watch_space, ended)));
		else if (!strcmp(line, "change\n"))
			printf("%d\n", change());
		else if (!strcmp(line, "again\n"))
			connect_once(argv[1], bytes);
		else if (!strcmp(line, "fds\n"))
			execl("/bin/sh", "sh", "-c",
			      "ls -l /proc/self/fd | grep -c -e socket: -e memfd", NULL);
	}
	return 0;
}
