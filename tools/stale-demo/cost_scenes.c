// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What a hit costs, and what munmap of cached memory costs the program. */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "stage.h"

#define UNMAPPED 500
#define ROUNDS 31
#define HITS 2000 /* a round */

static double now_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double percentile(double *values, int n, int percent)
{
	qsort(values, (size_t)n, sizeof(*values), by_size);
	return values[(n - 1) * percent / 100];
}

/* ---- munmap ---------------------------------------------------------------------------------- */

/* ns, as the program waits for it; 0: no memory. */
static double time_munmap(struct stage *s, char *at, int percent)
{
	static double took[UNMAPPED];

	for (int i = 0; i < UNMAPPED; i++) {
		double began;

		if (!map_at(at, BUFFER_BYTES))
			return 0;
		paint(at, BUFFER_PAGES);
		if (s->cache)
			warm(s, at, BUFFER_PAGES);
		began = now_of(CLOCK_MONOTONIC);
		munmap(at, BUFFER_BYTES);
		took[i] = now_of(CLOCK_MONOTONIC) - began;
	}
	return percentile(took, UNMAPPED, percent);
}

static enum outcome munmap_cost(struct stage *s, int percent)
{
	char *at = stage_place();
	enum outcome outcome;

	s->beside = time_munmap(s, at, percent);
	outcome = stage_begin(s);
	if (outcome == OUTCOME_OK)
		s->cost = time_munmap(s, at, percent);
	return outcome;
}

static enum outcome run_munmap(struct stage *s)
{
	return munmap_cost(s, 50);
}

static enum outcome run_munmap_99(struct stage *s)
{
	return munmap_cost(s, 99);
}

/* ---- hits ------------------------------------------------------------------------------------ */

/* A system call that asks a userfaultfd whether a change is in flight, as libhmm does: ns, or 0. */
static double time_probe(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_writeprotect nothing = { .mode = 0 };
	double took[ROUNDS];
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api))
		return 0;
	for (int round = 0; round < ROUNDS; round++) {
		took[round] = now_of(CLOCK_THREAD_CPUTIME_ID);
		for (int i = 0; i < HITS; i++)
			ioctl(fd, UFFDIO_WRITEPROTECT, &nothing);
		took[round] = (now_of(CLOCK_THREAD_CPUTIME_ID) - took[round]) / HITS;
	}
	close(fd);
	return percentile(took, ROUNDS, 50);
}

static enum outcome time_hits(struct stage *s, unsigned int flags)
{
	const uint64_t bytes = BUFFER_BYTES;
	double took[ROUNDS];
	char *at = stage_map();
	uint64_t made;

	if (!at)
		return stage_failed(s, "mmap");
	warm(s, at, BUFFER_PAGES);
	made = pin_made();
	for (int round = 0; round < ROUNDS; round++) {
		took[round] = now_of(CLOCK_THREAD_CPUTIME_ID);
		for (int i = 0; i < HITS; i++) {
			struct peer_use held = { 0 };

			if (s->peer->get(s->cache, (uint64_t)(uintptr_t)at, bytes, flags, &held))
				return stage_skip(s, "the cache refused");
			s->peer->put(s->cache, &held);
		}
		took[round] = (now_of(CLOCK_THREAD_CPUTIME_ID) - took[round]) / HITS;
	}
	if (pin_made() != made)
		return stage_skip(s, "the cache does not keep it");
	s->cached = true;
	s->cost = percentile(took, ROUNDS, 50);
	return OUTCOME_OK;
}

static enum outcome run_hit(struct stage *s)
{
	s->beside = time_probe();
	return time_hits(s, 0);
}

static enum outcome run_hit_ordered(struct stage *s)
{
	s->beside = time_probe();
	return time_hits(s, PEER_ORDERED);
}

const struct scene cost_scenes[] = {
	{ "munmap-cost", "munmap of cached memory, the median", run_munmap,
	  SCENE_COST | SCENE_EARLY },
	{ "munmap-99", "the same, the 99th percentile", run_munmap_99, SCENE_COST | SCENE_EARLY },
	{ "hit", "a hit and its release", run_hit, SCENE_HIT },
	{ "hit-ordered", "the same, where the caller knows that all changes have returned",
	  run_hit_ordered, SCENE_HIT },
	{ NULL, NULL, NULL, 0 },
};
