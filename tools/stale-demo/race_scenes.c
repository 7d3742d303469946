// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The race: one thread unmaps cached memory, another takes the address as soon as it is free.
 *
 *	user				other
 *	registers, releases
 *					munmap: the pages are gone
 *	mmap at the address succeeds
 *	writes, registers
 *					munmap returns
 *
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "stage.h"

struct race {
	char *at;
	bool raw;
	atomic_uint asked, done; /* rounds */
	atomic_bool end;
};

static void *unmap_when_asked(void *arg)
{
	struct race *r = arg;

	for (unsigned int round = 1; !atomic_load(&r->end);) {
		if (atomic_load(&r->asked) < round) {
			sched_yield();
			continue;
		}
		if (r->raw)
			syscall(SYS_munmap, r->at, BUFFER_BYTES);
		else
			munmap(r->at, BUFFER_BYTES);
		atomic_store(&r->done, round++);
	}
	return NULL;
}

static bool take(const struct race *r)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	void *got;

	if (r->raw)
		got = (void *)syscall(SYS_mmap, r->at, BUFFER_BYTES, PROT_READ | PROT_WRITE, flags,
				      -1, 0);
	else
		got = mmap(r->at, BUFFER_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
	return got == r->at;
}

/* A use counts as one, however many registrations the cache needs before it keeps one. */
static void one_race(struct stage *s, struct race *r, unsigned int round)
{
	unsigned int stale = s->stale;

	warm(s, r->at, BUFFER_PAGES);
	atomic_store(&r->asked, round);
	while (!take(r))
		sched_yield();
	paint(r->at, BUFFER_PAGES);
	use(s, r->at, BUFFER_PAGES);
	s->stale = stale + (s->stale > stale);
	while (atomic_load(&r->done) < round)
		sched_yield();
}

static enum outcome race(struct stage *s, bool raw)
{
	struct race r = { .at = stage_map(), .raw = raw };
	pthread_t other;

	if (!r.at || pthread_create(&other, NULL, unmap_when_asked, &r))
		return stage_failed(s, "mmap");
	for (unsigned int round = 1; round <= s->races; round++)
		one_race(s, &r, round);
	atomic_store(&r.end, true);
	pthread_join(other, NULL);
	s->of = s->races;
	return verdict(s);
}

static enum outcome run_race(struct stage *s)
{
	return race(s, false);
}

static enum outcome run_race_raw(struct stage *s)
{
	return race(s, true);
}

static enum outcome run_two_caches(struct stage *s)
{
	char *at = stage_map();

	if (!at || s->peer->open(&s->second))
		return stage_skip(s, "no second cache");
	for (unsigned int i = 0; i < s->races; i++) {
		unsigned int stale = s->stale;

		warm(s, at, BUFFER_PAGES);
		if (munmap(at, BUFFER_BYTES) || !map_at(at, BUFFER_BYTES))
			return stage_failed(s, "munmap");
		paint(at, BUFFER_PAGES);
		use_of(s, s->second, at, BUFFER_PAGES);
		use_of(s, s->second, at, BUFFER_PAGES);
		use(s, at, BUFFER_PAGES);
		s->stale = stale + (s->stale > stale);
	}
	s->of = s->races;
	return verdict(s);
}

const struct scene race_scenes[] = {
	{ "race", "thread 2 unmaps while thread 1 maps the address", run_race, SCENE_RACE },
	{ "race-raw", "the same by system calls that no hook sees", run_race_raw, SCENE_RACE },
	{ "two-caches", "two caches have it, the other registers first", run_two_caches,
	  SCENE_RACE },
	{ NULL, NULL, NULL, 0 },
};
