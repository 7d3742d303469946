// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Threads that get, put and unmap at the same time. */
#include "common/registrar.h"

#include <sched.h>

#define THREADS 4
#define BUFFERS 8
#define BYTES (4 * PAGE)

static struct registrar g;
static char *p[BUFFERS];
static pthread_rwlock_t lock[BUFFERS];
static _Atomic bool stop;
static _Atomic int bad;

static unsigned int next(unsigned int *state)
{
	return (*state = *state * 1103515245 + 12345) >> 16;
}

/*
 * A thread that gets holds the buffer's lock for reading, so that the words in memory stay what
 * they are while they are compared. The cache knows nothing of that lock.
 */
static void *gets(void *arg)
{
	unsigned int state = (unsigned int)(uintptr_t)arg;

	while (!stop) {
		const unsigned int i = next(&state) % BUFFERS;
		const size_t from = next(&state) % 4 * PAGE;
		const size_t bytes = PAGE + next(&state) % (BYTES - from);
		struct hmm_registration *r;
		int ret;

		pthread_rwlock_rdlock(&lock[i]);
		ret = hmm_regcache_get(g.cache, at(p[i]) + from,
				       bytes < BYTES - from ? bytes : BYTES - from,
				       next(&state) % 2 ? HMM_REGCACHE_WRITE : 0, LONG_NS, &r);
		bad += ret || !is_true(&g, r) || hmm_regcache_check(g.cache, r, 0) == -ESRCH;
		pthread_rwlock_unlock(&lock[i]);
		if (next(&state) % 8 == 0)
			sched_yield();
		if (!ret)
			hmm_regcache_put(g.cache, r);
	}
	return NULL;
}

static void change(char *at_page, unsigned int how)
{
	switch (how) {
	case 0:
		madvise(at_page, PAGE, MADV_DONTNEED);
		paint(at_page, PAGE);
		return;
	case 1:
		mmap(at_page, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		paint(at_page, PAGE);
		return;
	default:
		replace(at_page, PAGE);
	}
}

/* Threads that get leave no gap between them: the one that changes must not wait for one. */
static void make_locks(void)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	for (int i = 0; i < BUFFERS; i++)
		pthread_rwlock_init(&lock[i], &attr);
	pthread_rwlockattr_destroy(&attr);
}

static void race(const struct hmm_regcache_options *o, int rounds)
{
	pthread_t thread[THREADS];
	unsigned int state = 7;

	registrar_open(&g, o);
	stop = false;
	bad = 0;
	for (int i = 0; i < BUFFERS; i++)
		p[i] = buffer(BYTES);
	make_locks();
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, gets, (void *)(uintptr_t)(i + 1)),
				 0);
	for (int n = 0; n < rounds || stats_of(&g).hits < 100; n++) {
		const unsigned int i = next(&state) % BUFFERS;

		pthread_rwlock_wrlock(&lock[i]);
		change(p[i] + next(&state) % 4 * PAGE, next(&state) % 3);
		pthread_rwlock_unlock(&lock[i]);
		if (n % 16 == 0)
			hmm_regcache_reap(g.cache);
		if (n % 101 == 0)
			hmm_regcache_flush(g.cache);
	}
	stop = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(bad, 0);
	assert_int_equal(stats_of(&g).pinned, g.bytes);
	for (int i = 0; i < BUFFERS; i++)
		munmap(p[i], BYTES);
	settle_mm(&g);
	hmm_regcache_reap(g.cache);
	assert_int_equal(stats_of(&g).entries, 0);
	assert_int_equal(stats_of(&g).dead, 0);
	assert_int_equal(stats_of(&g).pinned, 0);
	registrar_close(&g);
	for (int i = 0; i < BUFFERS; i++)
		pthread_rwlock_destroy(&lock[i]);
}

static void no_hit_is_stale(void **state)
{
	race(NULL, 1500);
}

static void no_hit_is_stale_where_there_is_little_room(void **state)
{
	const struct hmm_regcache_options o = { .size = sizeof(o),
						.max_entries = 6,
						.max_bytes = 4 * BYTES };

	race(&o, 1000);
}

/* ---- one miss -------------------------------------------------------------------------------- */

static char *shared;

static void linger(void *arg)
{
	usleep(20000);
}

static void *get_shared(void *arg)
{
	hmm_regcache_put(g.cache, get(&g, shared, BYTES));
	return NULL;
}

/* One registers, the others wait for it. */
static void threads_that_miss_together_register_once(void **state)
{
	pthread_t thread[THREADS];

	registrar_open(&g, NULL);
	g.within = linger;
	shared = buffer(BYTES);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, get_shared, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(g.made, 1);
	assert_int_equal(stats_of(&g).misses, 1);
	assert_int_equal(stats_of(&g).hits, THREADS - 1);
	registrar_close(&g);
	munmap(shared, BYTES);
}

/* ---- who ends what --------------------------------------------------------------------------- */

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static _Atomic bool unmapped;

static void *unmap_under_lock(void *arg)
{
	pthread_mutex_lock(&held);
	munmap(arg, BYTES);
	pthread_mutex_unlock(&held);
	unmapped = true;
	return NULL;
}

static void unmap_within(void *arg)
{
	pthread_t thread;

	/* @reg waits for a thread that unmaps what is registered, under a lock. */
	assert_int_equal(pthread_create(&thread, NULL, unmap_under_lock, arg), 0);
	pthread_join(thread, NULL);
}

static void a_driver_may_wait_for_a_thread_that_unmaps(void **state)
{
	char *q = buffer(BYTES);
	char *other = buffer(BYTES);

	registrar_open(&g, NULL);
	assert_false(hits(&g, other, BYTES));
	g.within = unmap_within;
	g.arg = other;
	unmapped = false;
	hmm_regcache_put(g.cache, get(&g, q, BYTES));
	assert_true(unmapped);
	g.within = NULL;
	assert_false(is_cached(&g, other, BYTES));
	registrar_close(&g);
	munmap(q, BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_hit_is_stale),
		cmocka_unit_test(no_hit_is_stale_where_there_is_little_room),
		cmocka_unit_test(threads_that_miss_together_register_once),
		cmocka_unit_test(a_driver_may_wait_for_a_thread_that_unmaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
