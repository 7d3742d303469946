// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Changes of memory that is cached: the next use is never of the old registration. */
#include "ofi_stage.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROUNDS 2000

/* Cached, changed, cached again. */
static void changed(uint64_t *at, void (*change)(uint64_t *at))
{
	stage_warm(stage_cache(), at);
	change(at);
	stage_paint(at);
	CHECK(stage_use(stage_cache(), at) == USE_MISS);
	stage_warm(stage_cache(), at);
}

static void remap(uint64_t *at)
{
	CHECK(!munmap(at, BUFFER) && stage_map_at(at));
}

static void remap_raw(uint64_t *at)
{
	CHECK(!syscall(SYS_munmap, at, BUFFER) && stage_map_at(at));
}

static void map_over(uint64_t *at)
{
	CHECK(mmap(at, BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		   0) == at);
}

static void move_onto(uint64_t *at)
{
	CHECK(mremap(stage_map(), BUFFER, BUFFER, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at);
}

static void discard(uint64_t *at)
{
	CHECK(!syscall(SYS_madvise, at, BUFFER, MADV_DONTNEED));
}

static void run_anonymous(void)
{
	static void (*const changes[])(uint64_t *) = { remap, remap_raw, map_over, move_onto,
						       discard };

	stage_begin();
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		changed(stage_map(), changes[i]);
	CHECK(atomic_load(&stage_counters()->hits) >= 10);
	CHECK(atomic_load(&stage_counters()->invalidations) >= 5);
}

static int file;

static void cut(uint64_t *at)
{
	(void)at;
	CHECK(!ftruncate(file, 0) && !ftruncate(file, BUFFER));
}

static void punch(uint64_t *at)
{
	CHECK(!madvise(at, BUFFER, MADV_REMOVE));
}

/* What raises no event is asked for by the kind of the mapping. */
static void run_shared(void)
{
	uint64_t *at;

	stage_begin();
	file = memfd_create("shared", MFD_CLOEXEC);
	CHECK(file >= 0 && !ftruncate(file, BUFFER));
	at = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	CHECK(at != MAP_FAILED);
	stage_paint(at);
	changed(at, cut);
	changed(at, punch);
}

static void run_sysv(void)
{
	int one = shmget(IPC_PRIVATE, BUFFER, 0600);
	int two = shmget(IPC_PRIVATE, BUFFER, 0600);
	uint64_t *at;

	stage_begin();
	CHECK(one >= 0 && two >= 0);
	at = shmat(one, stage_place(), 0);
	CHECK(at != (void *)-1);
	CHECK(!shmctl(one, IPC_RMID, NULL));
	stage_paint(at);
	for (int i = 0; i < 4; i++)
		CHECK(stage_use(stage_cache(), at) != USE_STALE);
	CHECK(!shmdt(at) && shmat(two, at, 0) == at);
	CHECK(!shmctl(two, IPC_RMID, NULL));
	stage_paint(at);
	CHECK(stage_use(stage_cache(), at) != USE_STALE);
}

static void attach_over(uint64_t *at)
{
	int id = shmget(IPC_PRIVATE, BUFFER, 0600);

	CHECK(id >= 0 && shmat(id, at, SHM_REMAP) == at);
	CHECK(!shmctl(id, IPC_RMID, NULL));
}

/* A segment that is attached over other memory raises no event. */
static void run_strict(void)
{
	uint64_t *at = stage_map();

	setenv(MONITOR_STRICT_ENV, "1", 1);
	stage_begin();
	stage_warm(stage_cache(), at);
	attach_over(at);
	stage_paint(at);
	CHECK(stage_use(stage_cache(), at) != USE_STALE);
}

/* Is the registration found that is beside a page which is replaced? */
static bool neighbour_stays(void)
{
	uint64_t *at = stage_map();
	uint64_t *neighbour = at + BUFFER / sizeof(*at);

	CHECK(stage_map_at(neighbour));
	stage_paint(at);
	stage_paint(neighbour);
	stage_warm(stage_cache(), at);
	stage_warm(stage_cache(), neighbour);
	CHECK(!munmap((char *)at + 4096, 4096));
	CHECK(mmap((char *)at + 4096, 4096, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	stage_paint(at);
	CHECK(stage_use(stage_cache(), at) == USE_MISS);
	return stage_use(stage_cache(), neighbour) == USE_HIT;
}

/*
 * The middle page of a buffer; its neighbour's registration stays. A busy machine may be too slow
 * for the look-up.
 */
static void run_middle(void)
{
	unsigned int n = 0;

	stage_begin();
	while (!neighbour_stays())
		CHECK(++n < 100);
}

/* A registration that is in use while the memory goes lives on; it is not handed out again. */
static void run_in_use(void)
{
	struct ofi_held *held;
	uint64_t id;
	uint64_t *at = stage_map();

	stage_begin();
	stage_warm(stage_cache(), at);
	CHECK(!ofi_cache_get(stage_cache(), (uintptr_t)at, BUFFER, &id, &held));
	remap(at);
	stage_paint(at);
	CHECK(stage_use(stage_cache(), at) == USE_MISS);
	ofi_cache_put(stage_cache(), held);
	stage_warm(stage_cache(), at);
}

/* ---- races ----------------------------------------------------------------------------------- */

static uint64_t *_Atomic to_unmap;

static void *unmapper(void *arg)
{
	(void)arg;
	for (unsigned int n = 0; n < ROUNDS; n++) {
		uint64_t *at;

		while (!(at = atomic_exchange(&to_unmap, NULL)))
			sched_yield();
		CHECK(!syscall(SYS_munmap, at, BUFFER));
	}
	return NULL;
}

/* One thread maps the address again as soon as it is free, and uses it, while munmap() is inside.
 */
static void run_unmap_race(void)
{
	uint64_t *at = stage_map();
	unsigned int stale = 0;
	pthread_t thread;

	stage_begin();
	CHECK(!pthread_create(&thread, NULL, unmapper, NULL));
	for (unsigned int n = 0; n < ROUNDS; n++) {
		stage_use(stage_cache(), at);
		stage_use(stage_cache(), at);
		atomic_store(&to_unmap, at);
		/* The processor is for the other thread, or for the library's. */
		while (!stage_map_at(at))
			sched_yield();
		stage_paint(at);
		stale += stage_use(stage_cache(), at) == USE_STALE;
	}
	pthread_join(thread, NULL);
	printf("%u stale of %u\n", stale, ROUNDS);
	CHECK(!stale);
	/* About all of them; fewer where the machine is too slow for look-ups. */
	CHECK(atomic_load(&stage_counters()->invalidations) > ROUNDS / 100);
}

/* One cache registers the range anew before the other has been told that it changed. */
static void run_two_caches(void)
{
	struct ofi_cache *other;
	uint64_t *at = stage_map();
	unsigned int stale = 0;

	stage_begin();
	other = stage_open();
	for (unsigned int n = 0; n < ROUNDS; n++) {
		stage_warm(stage_cache(), at);
		remap(at);
		stage_paint(at);
		stale += stage_use(other, at) == USE_STALE;
		stale += stage_use(other, at) == USE_STALE;
		stale += stage_use(stage_cache(), at) == USE_STALE;
	}
	printf("%u stale of %u\n", stale, ROUNDS);
	CHECK(!stale);
	ofi_cache_close(other);
}

static uint64_t *remapped;

static void remap_now(void)
{
	atomic_store(&stage_after_pin, NULL);
	remap(remapped);
	stage_paint(remapped);
}

/* The memory changes between the pin and the question whether to keep it. */
static void run_remap_after_pin(void)
{
	stage_begin();
	for (unsigned int n = 0; n < 8; n++) {
		uint64_t *at = remapped = stage_map();

		for (unsigned int i = 0; i < n % 4; i++)
			CHECK(stage_use(stage_cache(), at) != USE_STALE);
		atomic_store(&stage_after_pin, remap_now);
		stage_use(stage_cache(), at);
		atomic_store(&stage_after_pin, NULL);
		for (unsigned int i = 0; i < 4; i++)
			CHECK(stage_use(stage_cache(), at) != USE_STALE);
		stage_warm(stage_cache(), at);
	}
}

static pthread_barrier_t pinned;
static pthread_barrier_t go_on;

static void wait_after_pin(void)
{
	atomic_store(&stage_after_pin, NULL);
	pthread_barrier_wait(&pinned);
	pthread_barrier_wait(&go_on);
}

static void *slow(void *arg)
{
	/* What it answers is the program's fault: the buffer goes during the call. */
	stage_use(stage_cache(), arg);
	return NULL;
}

/* A second thread pinned the old page and asks after the first has begun the watch. */
static void run_slow_pin(void)
{
	uint64_t *at = stage_map();
	struct ofi_cache *other;
	pthread_t thread;

	stage_begin();
	other = stage_open();
	pthread_barrier_init(&pinned, NULL, 2);
	pthread_barrier_init(&go_on, NULL, 2);
	atomic_store(&stage_after_pin, wait_after_pin);
	CHECK(!pthread_create(&thread, NULL, slow, at));
	pthread_barrier_wait(&pinned);
	remap(at);
	stage_paint(at);
	CHECK(stage_use(other, at) == USE_MISS);
	pthread_barrier_wait(&go_on);
	pthread_join(thread, NULL);
	CHECK(stage_use(stage_cache(), at) != USE_STALE);
	stage_warm(stage_cache(), at);
}

/* Records that make room for others take their registrations with them. */
static void run_evicted(void)
{
	const size_t many = 70000;
	uint64_t *at = stage_map();
	struct ofi_cache *other;
	char *area;

	stage_begin();
	other = stage_open();
	stage_warm(stage_cache(), at);
	area = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(area != MAP_FAILED);
	for (size_t i = 0; i < 3 * many; i++) {
		struct ofi_held *held;
		uint64_t id;

		CHECK(!ofi_cache_get(other, (uintptr_t)area + i / 120 % 8192, 1 + i % 120, &id,
				     &held));
		ofi_cache_put(other, held);
	}
	remap(at);
	stage_paint(at);
	for (unsigned int i = 0; i < 3; i++)
		CHECK(stage_use(other, at) != USE_STALE);
	CHECK(stage_use(stage_cache(), at) != USE_STALE);
	stage_warm(stage_cache(), at);
}

const struct scenario memory_scenarios[] = {
	{ "anonymous", run_anonymous },
	{ "shared", run_shared },
	{ "sysv", run_sysv },
	{ "strict", run_strict },
	{ "middle", run_middle },
	{ "in-use", run_in_use },
	{ "unmap-race", run_unmap_race },
	{ "two-caches", run_two_caches },
	{ "remap-after-pin", run_remap_after_pin },
	{ "slow-pin", run_slow_pin },
	{ "evicted", run_evicted },
	{ NULL, NULL },
};
