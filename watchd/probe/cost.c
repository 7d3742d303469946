// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * watch-cost: what an munmap of 16 KiB costs in a process that nobody watches while another one is
 * watched, beside the same without programs; and in one that is watched. Emulated guests count
 * instructions more than time: the ratios are what this is for.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "watchd/probe/log.h"

#define BYTES 16384
#define TIMES 3000

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* The median time of an munmap. */
static double measure(void)
{
	static double took[TIMES];
	double began;
	char *p;
	int i;

	for (i = 0; i < TIMES; i++) {
		p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		began = now();
		munmap(p, BYTES);
		took[i] = now() - began;
	}
	qsort(took, TIMES, sizeof(*took), compare);
	return took[TIMES / 2];
}

/* What the child measures when it is told to. */
static double ask(int to, int from)
{
	double ns;

	if (write(to, "m", 1) != 1 || read(from, &ns, sizeof(ns)) != sizeof(ns))
		exit(1);
	return ns;
}

int main(void)
{
	double before = 0, with = 0, after = 0, watched = 0, ns;
	struct watch_loader *loader;
	struct probe_log log;
	int to[2], from[2], err;
	char byte;

	if (pipe(to) || pipe(from))
		return 1;
	if (!fork()) {
		close(to[1]);
		while (read(to[0], &byte, 1) == 1) {
			ns = measure();
			if (write(from[1], &ns, sizeof(ns)) != sizeof(ns))
				break;
		}
		_exit(0);
	}
	ask(to[1], from[0]);
	before = ask(to[1], from[0]);
	err = watch_load(0, &loader);
	if (!err)
		err = probe_log_open(loader, 1 << 20, &log);
	if (err) {
		fprintf(stderr, "watch-cost: %s\n", strerror(-err));
		return err == -EPERM || err == -EOPNOTSUPP ? 77 : 1;
	}
	with = ask(to[1], from[0]);
	watched = measure();
	watch_unload(loader);
	after = ask(to[1], from[0]);
	printf("munmap of 16 KiB: without programs %.0f and %.0f ns, unwatched %.0f ns (%.3f), "
	       "watched %.0f ns (%.3f)\n",
	       before, after, with, 2 * with / (before + after), watched,
	       2 * watched / (before + after));
	return 0;
}
