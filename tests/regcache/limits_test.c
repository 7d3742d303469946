// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Limits, and who ends for them. */
#include "common/registrar.h"
#include "base/deadline.h"
#include "regcache/cache.h"

#include <signal.h>
#include <sys/resource.h>

#define BYTES (4 * PAGE)

static struct registrar g;
static char *p[8];

static void buffers_open(const struct hmm_regcache_options *o)
{
	registrar_open(&g, o);
	for (int i = 0; i < 8; i++)
		p[i] = buffer(BYTES);
}

static void buffers_close(void)
{
	registrar_close(&g);
	for (int i = 0; i < 8; i++)
		munmap(p[i], BYTES);
}

static void the_least_recently_used_one_ends(void **state)
{
	const struct hmm_regcache_options o = { .size = sizeof(o), .max_entries = 4 };

	buffers_open(&o);
	for (int i = 0; i < 4; i++)
		assert_false(hits(&g, p[i], BYTES));
	assert_true(hits(&g, p[0], BYTES));
	assert_true(hits(&g, p[2], BYTES));
	assert_false(hits(&g, p[4], BYTES));
	assert_false(is_cached(&g, p[1], BYTES));
	assert_false(hits(&g, p[5], BYTES));
	assert_false(is_cached(&g, p[3], BYTES));
	assert_true(is_cached(&g, p[0], BYTES));
	assert_true(is_cached(&g, p[2], BYTES));
	assert_true(is_cached(&g, p[4], BYTES));
	assert_true(is_cached(&g, p[5], BYTES));
	assert_int_equal(stats_of(&g).evicted, 2);
	assert_int_equal(stats_of(&g).entries, 4);
	assert_int_equal(g.ended, 2);
	buffers_close();
}

static void those_in_use_do_not_end(void **state)
{
	const struct hmm_regcache_options o = { .size = sizeof(o), .max_entries = 2 };
	struct hmm_registration *a;
	struct hmm_registration *b;
	struct hmm_registration *r;

	buffers_open(&o);
	a = get(&g, p[0], BYTES);
	b = get(&g, p[1], BYTES);
	assert_int_equal(hmm_regcache_get(g.cache, at(p[2]), BYTES, 0, LONG_NS, &r), -ENOSPC);
	assert_int_equal(hmm_regcache_get(g.cache, at(p[2]), BYTES, HMM_REGCACHE_ONCE, 0, &r),
			 -ENOSPC);
	assert_true(hits(&g, p[0], BYTES));
	hmm_regcache_put(g.cache, b);
	assert_false(hits(&g, p[2], BYTES));
	assert_false(is_cached(&g, p[1], BYTES));
	hmm_regcache_put(g.cache, a);
	assert_int_equal(stats_of(&g).entries, 2);
	buffers_close();
}

static void idle_bytes_have_a_limit(void **state)
{
	const struct hmm_regcache_options o = { .size = sizeof(o), .max_bytes = 2 * BYTES };
	struct hmm_registration *r[4];

	buffers_open(&o);
	for (int i = 0; i < 4; i++)
		r[i] = get(&g, p[i], BYTES);
	assert_int_equal(stats_of(&g).bytes, 4 * BYTES);
	hmm_regcache_put(g.cache, r[0]);
	hmm_regcache_put(g.cache, r[1]);
	assert_int_equal(g.ended, 0);
	assert_ptr_equal(get(&g, p[0], BYTES), r[0]);
	hmm_regcache_put(g.cache, r[2]);
	assert_int_equal(g.ended, 0);
	hmm_regcache_put(g.cache, r[3]);
	assert_int_equal(g.ended, 1);
	assert_false(is_cached(&g, p[1], BYTES));
	/* What dies while it is idle does not count. */
	replace(p[2], BYTES);
	replace(p[3], BYTES);
	settle_mm(&g);
	hmm_regcache_reap(g.cache);
	assert_false(hits(&g, p[2], BYTES));
	hmm_regcache_put(g.cache, r[0]);
	assert_true(is_cached(&g, p[0], BYTES));
	assert_true(is_cached(&g, p[2], BYTES));
	assert_int_equal(stats_of(&g).evicted, 1);
	buffers_close();
}

static void pinned_bytes_have_a_limit(void **state)
{
	const struct hmm_regcache_options o = { .size = sizeof(o), .max_pinned = 2 * BYTES };
	char *large = buffer(3 * BYTES);
	struct hmm_registration *a;
	struct hmm_registration *b;
	struct hmm_registration *r;

	buffers_open(&o);
	a = get(&g, p[0], BYTES);
	assert_false(hits(&g, p[1], BYTES));
	b = get(&g, p[2], BYTES);
	assert_int_equal(stats_of(&g).evicted, 1);
	assert_int_equal(hmm_regcache_get(g.cache, at(p[3]), BYTES, 0, LONG_NS, &r), -ENOMEM);
	/* A dead one is pinned until it is put. */
	replace(p[0], BYTES);
	settle_mm(&g);
	assert_int_equal(hmm_regcache_get(g.cache, at(p[3]), BYTES, 0, LONG_NS, &r), -ENOMEM);
	hmm_regcache_put(g.cache, a);
	assert_false(hits(&g, p[3], BYTES));
	hmm_regcache_put(g.cache, b);
	/* What never fits costs nobody else anything. */
	assert_int_equal(hmm_regcache_get(g.cache, at(large), 3 * BYTES, 0, LONG_NS, &r), -ENOMEM);
	assert_true(is_cached(&g, p[3], BYTES));
	assert_true(is_cached(&g, p[2], BYTES));
	buffers_close();
	munmap(large, 3 * BYTES);
}

static void the_limit_is_that_of_locked_memory(void **state)
{
	struct rlimit was;
	struct rlimit few = { 2 * BYTES, 2 * BYTES };
	struct hmm_registration *r[3];
	int ret;

	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &was), 0);
	few.rlim_max = was.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &few), 0);
	buffers_open(NULL);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &was), 0);
	r[0] = get(&g, p[0], BYTES);
	r[1] = get(&g, p[1], BYTES);
	ret = hmm_regcache_get(g.cache, at(p[2]), BYTES, 0, LONG_NS, &r[2]);
	/* A process with CAP_IPC_LOCK has no limit. */
	assert_true(!ret || ret == -ENOMEM);
	for (int i = 0; i < (ret ? 2 : 3); i++)
		hmm_regcache_put(g.cache, r[i]);
	buffers_close();
}

static void the_device_has_a_limit(void **state)
{
	struct hmm_registration *r;

	buffers_open(NULL);
	g.limit = 3 * BYTES;
	for (int i = 0; i < 8; i++)
		assert_false(hits(&g, p[i], BYTES));
	assert_int_equal(stats_of(&g).evicted, 5);
	assert_int_equal(stats_of(&g).entries, 3);
	r = get(&g, p[0], BYTES);
	g.limit = BYTES;
	assert_int_equal(hmm_regcache_get(g.cache, at(p[1]), BYTES, 0, LONG_NS,
					  &(struct hmm_registration *){ NULL }),
			 -ENOMEM);
	assert_int_equal(stats_of(&g).entries, 1);
	hmm_regcache_put(g.cache, r);
	buffers_close();
}

/* 0: before the first; 1: it waits; 2: none waits any more */
struct slow {
	_Atomic int state;
};

static void slow_dereg(struct hmm_registration *r, void *priv)
{
	struct slow *s = priv;

	if (s->state == 2)
		return;
	s->state = 1;
	while (s->state == 1)
		usleep(1000);
}

static int any_reg(struct hmm_registration *r, void *priv)
{
	return 0;
}

static void *flush_cache(void *cache)
{
	hmm_regcache_flush(cache);
	return NULL;
}

/* A registration is ending: the time is what is short, not the room. */
static void who_waits_for_room_says_so(void **state)
{
	const struct hmm_regcache_ops ops = { .size = sizeof(ops),
					      .reg = any_reg,
					      .dereg = slow_dereg };
	const struct hmm_regcache_options o = { .size = sizeof(o), .max_entries = 1 };
	struct slow s = { .state = 0 };
	struct hmm_regcache *cache;
	struct hmm_registration *r;
	pthread_t thread;

	buffers_open(NULL);
	assert_int_equal(hmm_regcache_create(g.mm, &ops, &o, &s, &cache), 0);
	assert_int_equal(hmm_regcache_get(cache, at(p[0]), PAGE, 0, LONG_NS, &r), 0);
	hmm_regcache_put(cache, r);
	assert_int_equal(pthread_create(&thread, NULL, flush_cache, cache), 0);
	while (s.state != 1)
		usleep(1000);
	assert_int_equal(hmm_regcache_get(cache, at(p[1]), PAGE, 0, 20000000, &r), -ETIME);
	s.state = 2;
	pthread_join(thread, NULL);
	assert_int_equal(hmm_regcache_get(cache, at(p[1]), PAGE, 0, UINT64_MAX, &r), 0);
	hmm_regcache_put(cache, r);
	hmm_regcache_destroy(cache);
	buffers_close();
}

/*
 * Each thread has one at a time, so of as many as there are threads one is always idle or ends.
 * Threads are held up by signals, wherever they are, while the others go on.
 */
#define ONE_EACH 3

static _Atomic bool enough;

static void hold_up(int sig)
{
	usleep(200);
}

static void *gets_one_at_a_time(void *arg)
{
	struct hmm_regcache *cache = arg;
	static _Atomic unsigned int threads;
	const unsigned int first = threads++;
	struct hmm_registration *r;
	intptr_t failed = 0;

	for (unsigned int i = first; !enough; i++) {
		const int ret = hmm_regcache_get(cache, at(p[i % 8]), PAGE, 0, HMM_FOREVER, &r);

		failed += ret != 0;
		if (i % 3 == 0)
			hmm_regcache_flush(cache);
		if (!ret)
			hmm_regcache_put(cache, r);
	}
	return (void *)failed;
}

static void no_dereg(struct hmm_registration *r, void *priv)
{
}

static void room_that_is_about_to_come_is_waited_for(void **state)
{
	const struct hmm_regcache_ops ops = { .size = sizeof(ops),
					      .reg = any_reg,
					      .dereg = no_dereg };
	const struct hmm_regcache_options o = { .size = sizeof(o), .max_entries = ONE_EACH };
	const struct sigaction act = { .sa_handler = hold_up, .sa_flags = SA_RESTART };
	const uint64_t end = clock_ns() + 10000000000ULL;
	pthread_t thread[ONE_EACH];
	struct hmm_regcache *cache;
	struct sigaction was;
	void *failed;

	buffers_open(NULL);
	assert_int_equal(sigaction(SIGUSR1, &act, &was), 0);
	assert_int_equal(hmm_regcache_create(g.mm, &ops, &o, NULL, &cache), 0);
	for (int i = 0; i < ONE_EACH; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, gets_one_at_a_time, cache), 0);
	/* On a busy machine each sleep takes long, and fewer must do. */
	for (int n = 0; n < 500 || (n < 6000 && clock_ns() < end); n++) {
		pthread_kill(thread[n % ONE_EACH], SIGUSR1);
		usleep(50);
	}
	enough = true;
	for (int i = 0; i < ONE_EACH; i++) {
		pthread_join(thread[i], &failed);
		assert_null(failed);
	}
	sigaction(SIGUSR1, &was, NULL);
	hmm_regcache_destroy(cache);
	buffers_close();
}

/* How many users an entry has is a number of 24 bits: from half of it on there is another entry. */
static void an_entry_has_a_limit_of_users(void **state)
{
	enum { NEAR = 100 };
	const uint64_t most = ENTRY_REFS_MAX - NEAR;
	struct hmm_registration *first;
	struct hmm_registration *r;
	struct entry *e;

	buffers_open(NULL);
	first = get(&g, p[0], PAGE);
	/* As if it had been handed out millions of times; the index has a reference already. */
	e = (struct entry *)first;
	atomic_fetch_add(&e->state, most * ENTRY_REF);
	for (unsigned int i = 0; i < NEAR - 2; i++) {
		assert_int_equal(hmm_regcache_get(g.cache, at(p[0]), PAGE, HMM_REGCACHE_ORDERED,
						  LONG_NS, &r),
				 0);
		if (r != first)
			fail_msg("another one after %u", i);
	}
	r = get(&g, p[0], PAGE);
	assert_ptr_not_equal(r, first);
	assert_true(hits(&g, p[0], PAGE));
	hmm_regcache_put(g.cache, r);
	atomic_fetch_sub(&e->state, most * ENTRY_REF);
	for (unsigned int i = 0; i < NEAR - 1; i++) {
		assert_int_equal(g.ended, 0);
		hmm_regcache_put(g.cache, first);
	}
	assert_int_equal(g.ended, 1);
	assert_true(is_cached(&g, p[0], PAGE));
	buffers_close();
}

static void an_answer_that_is_no_error_is_refused(void **state)
{
	struct hmm_registration *r;

	buffers_open(NULL);
	g.fails = 1; /* as a count of what was done */
	assert_int_equal(hmm_regcache_get(g.cache, at(p[0]), BYTES, 0, HMM_FOREVER, &r), -EINVAL);
	buffers_close();
}

/* Memory that the library has registered already costs no map entry. */
static void map_entries_have_a_limit(void **state)
{
	const struct hmm_regcache_options o = { .size = sizeof(o), .max_map_entries = 1 };
	struct hmm_registration *r;

	buffers_open(&o);
	assert_false(hits(&g, p[0], PAGE));
	r = get(&g, p[1], BYTES);
	assert_true(r->flags & HMM_REGCACHE_ONCE);
	hmm_regcache_put(g.cache, r);
	assert_int_equal(stats_of(&g).refused, 1);
	assert_false(hits(&g, p[0] + 2 * PAGE, PAGE));
	assert_true(hits(&g, p[0] + 2 * PAGE, PAGE));
	buffers_close();
}

/* Half of a cycle later each has been used once, in the order of its address. */
static void a_cache_of_many_ends_old_ones(void **state)
{
	enum { N = 1000, LEFT = 600 };
	const struct hmm_regcache_options o = { .size = sizeof(o),
						.max_entries = LEFT,
						.max_merge = 1 };
	char *q = buffer(N * PAGE);
	int young = 0;

	registrar_open(&g, &o);
	for (int i = 0; i < N; i++)
		assert_false(hits(&g, q + i * PAGE, PAGE));
	assert_int_equal(stats_of(&g).entries, LEFT);
	for (int i = N - LEFT; i < N; i++)
		young += is_cached(&g, q + i * PAGE, PAGE);
	assert_true(young > LEFT / 2);
	registrar_close(&g);
	munmap(q, N * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_least_recently_used_one_ends),
		cmocka_unit_test(those_in_use_do_not_end),
		cmocka_unit_test(idle_bytes_have_a_limit),
		cmocka_unit_test(pinned_bytes_have_a_limit),
		cmocka_unit_test(the_limit_is_that_of_locked_memory),
		cmocka_unit_test(the_device_has_a_limit),
		cmocka_unit_test(who_waits_for_room_says_so),
		cmocka_unit_test(room_that_is_about_to_come_is_waited_for),
		cmocka_unit_test(an_entry_has_a_limit_of_users),
		cmocka_unit_test(an_answer_that_is_no_error_is_refused),
		cmocka_unit_test(map_entries_have_a_limit),
		cmocka_unit_test(a_cache_of_many_ends_old_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
