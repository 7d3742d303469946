// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Nothing hangs: memory is unmapped under libfabric's locks, forks, and a pump that is stalled. */
#include "ofi_stage.h"

#include <hmm/hmm.h>

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ULL
/* What takes longer hangs. */
#define PATIENCE_NS (30000 * MS)

extern pthread_rwlock_t mm_list_rwlock;
extern pthread_mutex_t mm_state_lock;

/* A thread that frees under a lock that the deliverer needs is released at once. */
static void run_unmap_under_locks(void)
{
	uint64_t *at = stage_map();

	stage_begin();
	for (unsigned int n = 0; n < 200; n++) {
		uint64_t begin;

		stage_warm(stage_cache(), at);
		pthread_rwlock_wrlock(&mm_list_rwlock);
		pthread_mutex_lock(&mm_state_lock);
		pthread_mutex_lock(ofi_cache_lock());
		begin = stage_now_ns();
		CHECK(!munmap(at, BUFFER) && stage_map_at(at));
		CHECK(stage_now_ns() - begin < PATIENCE_NS);
		pthread_mutex_unlock(ofi_cache_lock());
		pthread_mutex_unlock(&mm_state_lock);
		pthread_rwlock_unlock(&mm_list_rwlock);
		stage_paint(at);
		CHECK(stage_use(stage_cache(), at) != USE_STALE);
	}
}

/*
 * The buffers are the allocator's, which gives memory back while it has its own locks, and while
 * the thread has all of libfabric's. The suite runs it with other allocators, too.
 */
static void run_allocator(void)
{
	const char *preloaded = getenv("LD_PRELOAD");
	unsigned int seed = 1;

	if (preloaded && *preloaded && !dlopen(preloaded, RTLD_LAZY | RTLD_NOLOAD))
		stage_skip("this allocator is not installed");
	stage_begin();
	for (unsigned int n = 0; n < 300; n++) {
		const size_t bytes = BUFFER + (size_t)rand_r(&seed) % (4UL << 20);
		char *memory = malloc(bytes);
		uint64_t *at = (uint64_t *)(((uintptr_t)memory + 4095) & ~4095UL);

		CHECK(memory);
		/* The allocator may write to pages that it keeps: tags say nothing here. */
		for (unsigned int i = 0; i < 3; i++)
			stage_use(stage_cache(), at);
		pthread_rwlock_wrlock(&mm_list_rwlock);
		pthread_mutex_lock(&mm_state_lock);
		pthread_mutex_lock(ofi_cache_lock());
		free(memory);
		malloc_trim(0);
		pthread_mutex_unlock(ofi_cache_lock());
		pthread_mutex_unlock(&mm_state_lock);
		pthread_rwlock_unlock(&mm_list_rwlock);
	}
}

/* ---- threads with a real-time priority ------------------------------------------------------- */

#define ENOUGH 100

static _Atomic unsigned int turns;

static void *remap_in_real_time(void *arg)
{
	const uint64_t begin = stage_now_ns();
	uint64_t *at = stage_map();

	(void)arg;
	/* A machine that stood still takes longer. */
	while (stage_now_ns() - begin < 1000 * MS ||
	       (atomic_load(&turns) <= ENOUGH && stage_now_ns() - begin < PATIENCE_NS)) {
		CHECK(stage_use(stage_cache(), at) != USE_STALE);
		CHECK(stage_use(stage_cache(), at) != USE_STALE);
		CHECK(!munmap(at, BUFFER) && stage_map_at(at));
		stage_paint(at);
		atomic_fetch_add(&turns, 1);
	}
	return NULL;
}

/* More than the machine has processors, and the pump has no such priority. */
static void run_real_time(void)
{
	const struct sched_param priority = { .sched_priority = 1 };
	pthread_t threads[64];
	long n = sysconf(_SC_NPROCESSORS_ONLN) + 1;
	pthread_attr_t attr;

	if (n > 64)
		n = 64;
	stage_begin();
	pthread_attr_init(&attr);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
	pthread_attr_setschedparam(&attr, &priority);
	for (long i = 0; i < n; i++) {
		int err = pthread_create(&threads[i], &attr, remap_in_real_time, NULL);

		if (err == EPERM)
			stage_skip("SCHED_FIFO is denied");
		CHECK(!err);
	}
	for (long i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	printf("%u turns\n", atomic_load(&turns));
	CHECK(atomic_load(&turns) > ENOUGH);
}

/* ---- a stalled pump -------------------------------------------------------------------------- */

#define USES 20
#define SOON_NS (500 * MS) /* 100 ms, and a busy machine */

static _Atomic bool stalling;
static _Atomic bool used; /* the callback may return */

static void sleep_ns(uint64_t ns)
{
	const struct timespec ts = { .tv_sec = (time_t)(ns / 1000000000ULL),
				     .tv_nsec = (long)(ns % 1000000000ULL) };

	nanosleep(&ts, NULL);
}

static int stall(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	const uint64_t end = stage_now_ns() + PATIENCE_NS;

	(void)ni;
	(void)inv;
	(void)priv;
	atomic_store(&stalling, true);
	while (!atomic_load(&used) && stage_now_ns() < end)
		sleep_ns(MS);
	atomic_store(&stalling, false);
	return 0;
}

static void *unmap(void *at)
{
	munmap(at, BUFFER);
	return NULL;
}

/* How many of the uses were soon over. The machine may stand still for a while. */
static unsigned int soon(uint64_t *at)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < USES; i++) {
		const uint64_t begin = stage_now_ns();

		CHECK(stage_use(stage_cache(), at) != USE_STALE);
		n += stage_now_ns() - begin < SOON_NS;
	}
	return n;
}

/* A driver's callback holds the pump: registrations are made each time meanwhile, soon. */
static void run_stalled(void)
{
	static const struct hmm_interval_notifier_ops ops = { .size = sizeof(ops),
							      .invalidate = stall };
	uint64_t *at = stage_map();
	uint64_t *slow = stage_map();
	struct hmm_interval_notifier *ni;
	pthread_t thread;
	unsigned int n;

	stage_begin();
	CHECK(!mprotect((char *)slow + BUFFER - 4096, 4096, PROT_READ));
	stage_warm(stage_cache(), at);
	stage_warm(stage_cache(), slow);
	CHECK(!hmm_interval_notifier_insert(stage_space(), (uintptr_t)slow, BUFFER, &ops, NULL,
					    &ni));
	CHECK(!pthread_create(&thread, NULL, unmap, slow));
	while (!atomic_load(&stalling))
		sched_yield();
	n = soon(at);
	/* None has waited for the callback. */
	CHECK(atomic_load(&stalling));
	atomic_store(&used, true);
	printf("%u of %u uses were soon over\n", n, USES);
	CHECK(n >= USES / 2);
	pthread_join(thread, NULL);
	hmm_interval_notifier_remove(ni);
	stage_warm(stage_cache(), at);
}

/* ---- fork ------------------------------------------------------------------------------------ */

/* All locks that another thread may hold in libfabric: the child uses the cache, too. */
static void lock_cache(void)
{
	pthread_mutex_lock(ofi_cache_lock());
	pthread_mutex_lock(ofi_cache_own_lock(stage_cache()));
}

static void unlock_cache(void)
{
	pthread_mutex_unlock(ofi_cache_own_lock(stage_cache()));
	pthread_mutex_unlock(ofi_cache_lock());
}

static _Atomic bool done;

static void *remap_all_the_time(void *arg)
{
	uint64_t *at = stage_map();

	(void)arg;
	while (!atomic_load(&done)) {
		CHECK(stage_use(stage_cache(), at) != USE_STALE);
		stage_use(stage_cache(), at);
		CHECK(!munmap(at, BUFFER) && stage_map_at(at));
		stage_paint(at);
	}
	return NULL;
}

static void child_uses(uint64_t *at)
{
	for (unsigned int n = 0; n < 4; n++)
		if (stage_use(stage_cache(), at) != USE_MISS)
			_exit(1);
	if (munmap(at, BUFFER) || !stage_map_at(at))
		_exit(2);
	stage_paint(at);
	_exit(stage_use(stage_cache(), at) == USE_MISS ? 0 : 3);
}

/*
 * A handler that was registered before the library's takes libfabric's lock after them, while
 * another thread may hold it and ask the library.
 */
static void run_forks(void)
{
	uint64_t *at = stage_map();
	pthread_t thread;
	int status;

	CHECK(!pthread_atfork(lock_cache, unlock_cache, unlock_cache));
	stage_begin();
	stage_warm(stage_cache(), at);
	CHECK(!pthread_create(&thread, NULL, remap_all_the_time, NULL));
	for (unsigned int n = 0; n < 100; n++) {
		const uint64_t begin = stage_now_ns();
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (!pid)
			child_uses(at);
		CHECK(stage_now_ns() - begin < PATIENCE_NS);
		CHECK(waitpid(pid, &status, 0) == pid && !status);
	}
	atomic_store(&done, true);
	pthread_join(thread, NULL);
	stage_warm(stage_cache(), at);
	CHECK(!atomic_load(&stage_counters()->stale_prevented) ||
	      atomic_load(&stage_counters()->invalidations));
}

/* A fork takes nothing from the parent's cache: pinned pages stay the parent's. */
static void run_fork_keeps(void)
{
	uint64_t *at = stage_map();
	int status;

	unsigned int kept = 0;

	stage_begin();
	/* A busy machine may be too slow for a look-up. */
	for (unsigned int n = 0; n < 200 && kept < 10; n++) {
		pid_t pid;

		stage_warm(stage_cache(), at);
		pid = fork();
		CHECK(pid >= 0);
		if (!pid)
			_exit(0);
		CHECK(waitpid(pid, &status, 0) == pid && !status);
		kept += stage_use(stage_cache(), at) == USE_HIT;
	}
	CHECK(kept == 10);
}

/* ---- signals, end of the process ------------------------------------------------------------- */

static uint64_t *handled;
static timer_t timer;

/* The next one comes after this one, or else nothing but handlers would run on a busy machine. */
static bool next_signal(void)
{
	static const struct itimerspec soon = { .it_value.tv_nsec = 500000 };

	return !timer_settime(timer, 0, &soon, NULL);
}

static void remap_in_handler(int sig)
{
	(void)sig;
	if (munmap(handled, BUFFER) || !stage_map_at(handled))
		_exit(4);
	stage_paint(handled);
	if (!next_signal())
		_exit(5);
}

static void run_signal_unmaps(void)
{
	uint64_t *at = stage_map();
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };

	handled = stage_map();
	stage_begin();
	CHECK(signal(SIGUSR1, remap_in_handler) != SIG_ERR);
	CHECK(!timer_create(CLOCK_MONOTONIC, &event, &timer));
	CHECK(next_signal());
	for (uint64_t end = stage_now_ns() + 500 * MS; stage_now_ns() < end;) {
		struct ofi_held *held;
		uint64_t id;

		CHECK(!ofi_cache_get(stage_cache(), (uintptr_t)handled, BUFFER, &id, &held));
		ofi_cache_put(stage_cache(), held);
		stage_use(stage_cache(), at);
	}
	signal(SIGUSR1, SIG_IGN);
	timer_delete(timer);
	CHECK(stage_use(stage_cache(), handled) != USE_STALE);
}

static _Atomic unsigned int without; /* busy threads that do not call libfabric any more */

static void *busy(void *arg)
{
	uint64_t *at = stage_map();
	bool calls = true;

	(void)arg;
	for (;;) {
		/* libfabric cannot be called once its destructor has run. */
		if (calls && atomic_load(&done)) {
			calls = false;
			atomic_fetch_add(&without, 1);
		}
		if (calls)
			stage_use(stage_cache(), at);
		munmap(at, BUFFER);
		stage_map_at(at);
	}
	return NULL;
}

#define BUSY 3

/* exit() runs while threads unmap what is watched, and the deliverer tells libfabric. */
static void run_exit_busy(void)
{
	pthread_t thread;

	stage_begin();
	for (int i = 0; i < BUSY; i++)
		CHECK(!pthread_create(&thread, NULL, busy, NULL));
	sleep_ns(100 * MS);
	atomic_store(&done, true);
	while (atomic_load(&without) < BUSY)
		sched_yield();
	exit(0);
}

static uint64_t *gone[16];

static uint64_t notified(void)
{
	struct ofi_cache_stats stats;

	ofi_cache_get_stats(stage_cache(), &stats);
	return stats.notified;
}

/* Runs after the monitor's handler, as libfabric's destructor does. */
static void unmap_at_exit(void)
{
	const uint64_t before = notified();
	const uint64_t invalidated = atomic_load(&stage_counters()->invalidations);

	for (int i = 0; i < 16; i++)
		CHECK(!munmap(gone[i], BUFFER));
	while (atomic_load(&stage_counters()->invalidations) < invalidated + 16)
		sched_yield();
	sleep_ns(50 * MS);
	CHECK(notified() == before);
	CHECK(stage_map_at(gone[0]));
	stage_paint(gone[0]);
	CHECK(stage_use(stage_cache(), gone[0]) == USE_MISS);
	CHECK(stage_use(stage_cache(), gone[0]) == USE_MISS);
}

/* Once exit() has begun libfabric is told nothing: its locks may be gone. Nothing is stale. */
static void run_exit_tells(void)
{
	atexit(unmap_at_exit);
	stage_begin();
	for (int i = 0; i < 16; i++) {
		gone[i] = stage_map();
		stage_warm(stage_cache(), gone[i]);
	}
	exit(0);
}

/* ---- the thread that asks is cancelled ------------------------------------------------------- */

static void *used_until_cancelled(void *at)
{
	for (;;) {
		stage_use(stage_cache(), at);
		CHECK(!munmap(at, BUFFER) && stage_map_at(at));
		stage_paint(at);
		pthread_testcancel();
	}
	return NULL;
}

static void run_cancelled(void)
{
	uint64_t *at = stage_map();

	stage_begin();
	for (int i = 0; i < 100; i++) {
		pthread_t thread;

		CHECK(!pthread_create(&thread, NULL, used_until_cancelled, at));
		sleep_ns(MS);
		pthread_cancel(thread);
		pthread_join(thread, NULL);
		CHECK(stage_use(stage_cache(), at) != USE_STALE);
	}
	stage_warm(stage_cache(), at);
}

const struct scenario lock_scenarios[] = {
	{ "unmap-under-locks", run_unmap_under_locks },
	{ "allocator", run_allocator },
	{ "real-time", run_real_time },
	{ "stalled", run_stalled },
	{ "forks", run_forks },
	{ "fork-keeps", run_fork_keeps },
	{ "signal-unmaps", run_signal_unmaps },
	{ "exit-busy", run_exit_busy },
	{ "exit-tells", run_exit_tells },
	{ "cancelled", run_cancelled },
	{ NULL, NULL },
};
