// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The threads of the storm: users, changers, a pair that races over an address, threads that end
 * and leave their stacks, and one that forks.
 */
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "spot_kinds.h"

enum { AHEAD = 4, STUCK_S = 30, RACE_GETS = 60, STACK_GETS = 200, FORK_GETS = 4000 };

struct worker {
	struct storm *storm;
	uint64_t random;
	pthread_t thread;
};

static bool over(const struct storm *t)
{
	return atomic_load(&t->stop) || atomic_load(&t->gets) >= t->rounds;
}

/* A thread that waits leaves the processor to the others, and to the library. */
static void rest(void)
{
	const struct timespec pause = { 0, 20000 };

	nanosleep(&pause, NULL);
}

/* Users and changers keep pace: so many gets for each change, however the kernel schedules. */
static bool wait_users(const struct storm *t)
{
	while (!over(t) && atomic_load(&t->gets) < atomic_load(&t->changes) * t->calm)
		rest();
	return !over(t);
}

static bool wait_changers(const struct storm *t)
{
	while (!over(t) && atomic_load(&t->gets) >= (atomic_load(&t->changes) + AHEAD) * t->calm)
		rest();
	return !over(t);
}

/* The others come after so many gets each. */
static bool wait_gets(const struct storm *t, uint64_t *until, uint64_t gets)
{
	while (!over(t) && atomic_load(&t->gets) < *until)
		rest();
	*until = atomic_load(&t->gets) + gets;
	return !over(t);
}

static void *use_spots(void *arg)
{
	struct worker *w = arg;
	struct storm *t = w->storm;

	while (wait_changers(t)) {
		uint64_t r = storm_random(&w->random);
		struct spot *spot = &t->spot[r % t->spots];
		unsigned int lo = (r >> 8) % SPOT_PAGES, hi = lo + 1;
		struct view view;

		if (spot->stride == PAGE_BYTES)
			hi += (r >> 16) % (SPOT_PAGES - lo);
		spot_look(spot, &view);
		storm_use(t, spot, lo, hi, 0, &view, false);
	}
	return NULL;
}

static void *change_spots(void *arg)
{
	struct worker *w = arg;

	while (wait_users(w->storm))
		if (storm_change(w->storm,
				 &w->storm->spot[storm_random(&w->random) % w->storm->spots],
				 &w->random))
			break;
	return NULL;
}

/* What the racing pair has between them. */
static sem_t race_asked, race_done;

/* Its address is that of a spot of its own. */
static struct spot race_spot = { .id = SPOTS_MAX - 1, .stride = PAGE_BYTES };
static const struct spot_kind race_kind = { .name = "race" };

static void *unmap_when_asked(void *arg)
{
	struct worker *w = arg;
	const size_t size = SPOT_PAGES * PAGE_BYTES;

	for (;;) {
		sem_wait(&race_asked);
		if (over(w->storm))
			return NULL;
		if (storm_random(&w->random) % 2)
			syscall(SYS_munmap, spot_page(&race_spot, 0), size);
		else
			munmap(spot_page(&race_spot, 0), size);
		sem_post(&race_done);
	}
}

/* The address is free, so what was there is gone, though munmap may not have returned. */
static bool take_address(struct worker *w)
{
	char *at = spot_page(&race_spot, 0);
	int err;

	sem_post(&race_asked);
	while ((err = spot_map(at, SPOT_PAGES * PAGE_BYTES)) == -EEXIST) {
		if (over(w->storm))
			return false;
		sched_yield();
	}
	if (err)
		storm_found(w->storm, &w->storm->wrong, "mmap: %s", strerror(-err));
	return !err;
}

static void *race(void *arg)
{
	struct worker *w = arg;
	struct storm *t = w->storm;
	struct view view;
	uint64_t until = 0;

	while (wait_gets(t, &until, RACE_GETS)) {
		uint64_t stamp;

		spot_look(&race_spot, &view);
		storm_use(t, &race_spot, 0, SPOT_PAGES, 0, &view, true);
		storm_use(t, &race_spot, 0, SPOT_PAGES, 0, &view, true);
		stamp = spot_begin(&race_spot);
		if (!take_address(w))
			break;
		spot_paint(&race_spot, 0, SPOT_PAGES, stamp);
		spot_end(&race_spot);
		atomic_fetch_add(&t->races, 1);
		spot_look(&race_spot, &view);
		storm_use(t, &race_spot, 0, SPOT_PAGES, 0, &view, true);
		sem_wait(&race_done);
	}
	/* The other ends, too. */
	sem_post(&race_asked);
	return NULL;
}

/* The stack of a thread is a spot of its own, which nobody else uses. */
static void *use_stack(void *arg)
{
	static const struct spot_kind kind = { .name = "stack" };
	static _Atomic uint64_t stamps;
	/* The upper half is what the C library may leave in place for the next thread. */
	char buffer[2 * SPOT_PAGES * PAGE_BYTES] __attribute__((aligned(4096)));
	struct spot spot = { .id = SPOTS_MAX - 2, .kind = &kind, .stride = PAGE_BYTES };
	struct storm *t = arg;
	struct view view;

	atomic_store(&spot.at, (uintptr_t)buffer);
	atomic_store(&spot.last, "the end of a thread");
	atomic_store(&spot.issued, atomic_fetch_add(&stamps, 1));
	spot_paint(&spot, 0, SPOT_PAGES, spot_begin(&spot));
	spot_end(&spot);
	spot_look(&spot, &view);
	storm_use(t, &spot, 0, SPOT_PAGES, 0, &view, true);
	storm_use(t, &spot, 0, SPOT_PAGES, PEER_ORDERED, &view, true);
	return NULL;
}

static void *make_stacks(void *arg)
{
	struct worker *w = arg;
	struct storm *t = w->storm;
	uint64_t until = 0;

	while (wait_gets(t, &until, STACK_GETS)) {
		pthread_attr_t attr;
		pthread_t thread;
		int err;

		pthread_attr_init(&attr);
		/* The C library keeps stacks of 40 MiB together, and unmaps what is beyond. */
		pthread_attr_setstacksize(&attr,
					  storm_random(&w->random) % 2 ? 48UL << 20 : 256UL << 10);
		err = pthread_create(&thread, &attr, use_stack, t);
		pthread_attr_destroy(&attr);
		if (err) {
			storm_found(t, &t->wrong, "pthread_create: %s", strerror(err));
			break;
		}
		pthread_join(thread, NULL);
	}
	return NULL;
}

static void *fork_children(void *arg)
{
	struct worker *w = arg;
	struct storm *t = w->storm;
	uint64_t until = 0;

	while (wait_gets(t, &until, FORK_GETS)) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		if (pid < 0 || waitpid(pid, NULL, 0) != pid) {
			storm_found(t, &t->wrong, "fork: %s", strerror(errno));
			break;
		}
	}
	return NULL;
}

static int make_race(void)
{
	int err;

	sem_init(&race_asked, 0, 0);
	sem_init(&race_done, 0, 0);
	race_spot.kind = &race_kind;
	atomic_store(&race_spot.at, (uintptr_t)spot_place(race_spot.id));
	atomic_store(&race_spot.last, "munmap by another thread");
	err = spot_map(spot_page(&race_spot, 0), SPOT_PAGES * PAGE_BYTES);
	if (!err) {
		spot_paint(&race_spot, 0, SPOT_PAGES, spot_begin(&race_spot));
		spot_end(&race_spot);
	}
	return err;
}

/* Until the rounds are done. False: nobody gets anything any more. */
static bool watch(struct storm *t)
{
	const struct timespec pause = { 0, 20000000 };
	uint64_t seen = 0, since = 0;

	while (!over(t)) {
		uint64_t gets = atomic_load(&t->gets);

		nanosleep(&pause, NULL);
		since = gets == seen ? since + 1 : 0;
		seen = gets;
		if (since > STUCK_S * 50)
			return false;
	}
	return true;
}

bool storm_run(struct storm *t)
{
	static void *(*const roles[])(void *) = {
		use_spots, use_spots,        change_spots, change_spots,
		race,      unmap_when_asked, make_stacks,  fork_children,
	};
	enum { WORKERS = sizeof(roles) / sizeof(*roles) };
	struct worker workers[WORKERS];
	int n = 0, err = make_race();

	for (; n < WORKERS && !err; n++) {
		workers[n] = (struct worker){ .storm = t, .random = t->seed + (uint64_t)n };
		err = pthread_create(&workers[n].thread, NULL, roles[n], &workers[n]);
		if (err)
			break;
	}
	if (err)
		storm_found(t, &t->wrong, "threads: %s", strerror(err < 0 ? -err : err));
	else if (!watch(t))
		return false;
	atomic_store(&t->stop, true);
	while (n--)
		pthread_join(workers[n].thread, NULL);
	return true;
}
