// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * What a cache costs where it has nothing: munmap of memory that was never registered, malloc and
 * free. Each side is a process of its own, as one that has attached once is not as it was before.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raw.h"
#include "regcache.h"

#define UNMAPS 4000
#define SIZE (16UL << 10)
#define ALLOCATIONS 200000
#define LIVE 256
#define TOO_LONG 60 /* s */

/* ns each */
static double unmap_some(void)
{
	char *base = raw_map(UNMAPS * SIZE, false);
	double begin;

	if (!base)
		return NAN;
	memset(base, 1, UNMAPS * SIZE);
	begin = bench_cpu_ns();
	for (size_t i = 0; i < UNMAPS; i++)
		munmap(base + i * SIZE, SIZE);
	return (bench_cpu_ns() - begin) / UNMAPS;
}

/* Of 16 bytes to 256 KiB: some of them malloc() maps and unmaps. ns a pair */
static double allocate_some(void)
{
	static char *live[LIVE];
	uint64_t turn = 1;
	double begin = bench_cpu_ns();

	for (size_t i = 0; i < ALLOCATIONS; i++) {
		char **p;

		turn = turn * 6364136223846793005ULL + 1442695040888963407ULL;
		p = &live[(turn >> 40) % LIVE];
		free(*p);
		*p = malloc((16UL + (turn >> 60)) << ((turn >> 33) % 14));
		if (!*p)
			return NAN;
		**p = 1;
	}
	return (bench_cpu_ns() - begin) / ALLOCATIONS;
}

/* Of other memory; lives as long as the process. */
static int keep_other(void)
{
	static struct cache c;
	char *base = raw_map(2 * RAW_MIB, false);
	int ret = base ? cache_open(&c) : -ENOMEM;

	return ret ? ret : cache_keep(&c, base, RAW_MIB);
}

static double in_child(double (*work)(void), bool cached)
{
	double *result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double value;
	pid_t pid;

	if (result == MAP_FAILED)
		return NAN;
	*result = NAN;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		alarm(TOO_LONG);
		if (!cached || !keep_other())
			*result = work();
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	value = *result;
	munmap(result, sizeof(*result));
	return value;
}

static double cached_unmap(void *arg)
{
	return in_child(unmap_some, true);
}

static double plain_unmap(void *arg)
{
	return in_child(unmap_some, false);
}

static double cached_allocate(void *arg)
{
	return in_child(allocate_some, true);
}

static double plain_allocate(void *arg)
{
	return in_child(allocate_some, false);
}

int bench_regcache_bystander(struct bench *b)
{
	struct bench_row unmap = { .name = "regcache-bystander-munmap",
				   .unit = "ns",
				   .target = 1.1,
				   .note = "16 KiB, present; without a cache in the process" };
	struct bench_row allocate = { .name = "regcache-bystander-malloc",
				      .unit = "ns",
				      .target = 1.1,
				      .note = "malloc and free; without a cache in the process" };
	int ret = bench_interleave(b, cached_unmap, plain_unmap, NULL, &unmap);

	if (!ret)
		bench_add(b, &unmap);
	if (!ret)
		ret = bench_interleave(b, cached_allocate, plain_allocate, NULL, &allocate);
	if (!ret)
		bench_add(b, &allocate);
	return ret;
}
