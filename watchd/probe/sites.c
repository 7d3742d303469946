// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * watch-sites [--anchored]: which functions of this kernel the programs are attached to, how long
 * loading and opening take, and the records of an munmap.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "watchd/probe/log.h"

static double ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
	const struct watch_site *sites;
	struct watch_loader *loader;
	struct watch_record r;
	struct probe_log log;
	double began = ms();
	size_t i, n;
	char *p;
	int err;

	err = watch_load(argc > 1 && !strcmp(argv[1], "--anchored") ? WATCH_LOAD_ANCHORED : 0,
			 &loader);
	if (err) {
		fprintf(stderr, "watch-sites: loading: %s\n", strerror(-err));
		return err == -EPERM || err == -EOPNOTSUPP ? 77 : 1;
	}
	printf("loaded in %.0f ms\n", ms() - began);
	n = watch_sites(loader, &sites);
	for (i = 0; i < n; i++)
		printf("%2zu %-34s %s\n", i, sites[i].name,
		       sites[i].attached ? "attached" : strerrorname_np(-sites[i].error));
	watch_spare(loader, WATCH_LOG_BYTES);
	began = ms();
	err = probe_log_open(loader, WATCH_LOG_BYTES, 0, &log);
	if (err) {
		fprintf(stderr, "watch-sites: opening: %s\n", strerror(-err));
		return 1;
	}
	printf("opened in %.1f ms\n", ms() - began);
	printf("is %d, another's %d\n", watch_is(loader, getpid(), log.slot),
	       watch_is(loader, getppid(), log.slot));
	p = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(p, 1, 1 << 16);
	munmap(p, 1 << 16);
	while (probe_log_next(&log, &r))
		printf("%#llx-%#llx %s %s%s\n", (unsigned long long)r.start,
		       (unsigned long long)r.end, probe_kind(r.kind),
		       r.site < n ? sites[r.site].name : "-", r.flags & WATCH_END ? " end" : "");
	watch_close(loader, log.slot);
	while (probe_log_next(&log, &r))
		printf("%#llx-%#llx %s site %#x\n", (unsigned long long)r.start,
		       (unsigned long long)r.end, probe_kind(r.kind), r.site);
	printf("ended %d trouble %d word %#llx watched %d\n", (int)log.space->ended,
	       (int)log.space->trouble, (unsigned long long)log.global->word,
	       (int)log.global->watched);
	watch_unload(loader);
	printf("detached %d\n", (int)log.global->detached);
	return 0;
}
