// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Whatever a driver's callback is stuck at, a touch of a page that is away is answered: by the
 * watchdog, when the pump or a migration waits for the callback.
 */
#include "common/devmem.h"

#include <pthread.h>

#define PAGES 64
#define GIVE_UP_S 100

/* What the callback touches, and the lock that it takes; NULL: nothing. */
static struct {
	volatile unsigned int *_Atomic word;
	pthread_mutex_t *_Atomic lock;
	_Atomic int inside;
} driver;

static int touch(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	volatile unsigned int *word = driver.word;
	pthread_mutex_t *lock = driver.lock;

	driver.inside = 1;
	if (lock) {
		pthread_mutex_lock(lock);
		pthread_mutex_unlock(lock);
	}
	if (word)
		(*word)++;
	driver.inside = 0;
	return 0;
}

static const struct hmm_interval_notifier_ops touching = { .size = sizeof(touching),
							   .invalidate = touch };

struct scene {
	struct with_devmem with;
	struct hmm_interval_notifier *ni;
	char *p; /* PAGES pages: numbered, but for the last, which was never touched */
};

static void scene_open(struct scene *s)
{
	memset((void *)&driver, 0, sizeof(driver));
	devmem_open(&s->with, REGION, 0);
	s->p = map_anon(PAGES * PAGE, RW);
	number(s->p, PAGES - 1, 1);
	assert_int_equal(hmm_interval_notifier_insert(s->with.m.mm, at(s->p), (PAGES - 1) * PAGE,
						      &touching, NULL, &s->ni),
			 0);
	assert_int_equal(to_device(&s->with, s->p, PAGES - 1), 0);
	assert_int_equal(away(&s->with, s->p, PAGES - 1), PAGES - 1);
	alarm(GIVE_UP_S);
}

static void scene_close(struct scene *s)
{
	alarm(0);
	hmm_interval_notifier_remove(s->ni);
	munmap(s->p, PAGES * PAGE);
	devmem_close(&s->with);
}

static volatile unsigned int *word_of(struct scene *s, size_t page)
{
	return (volatile unsigned int *)(s->p + page * PAGE + 64);
}

/* The callback runs because page 0 comes home, and touches another that is away. */
static void a_callback_may_touch_what_is_away(void **state)
{
	struct scene s;

	scene_open(&s);
	driver.word = word_of(&s, 40);
	assert_int_equal(*(unsigned int *)s.p, 1);
	assert_int_equal(hmm_mm_barrier(s.with.m.mm, HMM_FOREVER), 0);
	assert_true(*driver.word > 0);
	driver.word = NULL;
	assert_numbered(s.p, PAGES - 1, 1);
	scene_close(&s);
}

/* It runs because of a migration, which holds the lock that the pump needs. */
static void a_callback_may_touch_what_was_never_touched(void **state)
{
	struct scene s;

	scene_open(&s);
	assert_int_equal(*(unsigned int *)s.p, 1);
	usleep(1000); /* what the CPU has touched stays for a moment */
	driver.word = word_of(&s, PAGES - 1);
	assert_int_equal(to_device(&s.with, s.p, PAGES - 1), 0);
	assert_true(*driver.word > 0);
	scene_close(&s);
}

/* It runs because the program unmaps. */
static void a_callback_of_an_unmapping_may_touch_what_is_away(void **state)
{
	struct scene s;

	scene_open(&s);
	driver.word = word_of(&s, 40);
	munmap(s.p, PAGE);
	assert_int_equal(hmm_mm_barrier(s.with.m.mm, HMM_FOREVER), 0);
	assert_true(*driver.word > 0);
	driver.word = NULL;
	assert_numbered(s.p + PAGE, PAGES - 2, 1 + 1);
	scene_close(&s);
}

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static _Atomic bool locked;

static void *touch_under_lock(void *arg)
{
	struct scene *s = arg;
	unsigned int value;

	pthread_mutex_lock(&held);
	atomic_store(&locked, true);
	while (!driver.inside)
		usleep(1000);
	value = *(volatile unsigned int *)(s->p + 40 * PAGE);
	pthread_mutex_unlock(&held);
	return (void *)(uintptr_t)value;
}

/* A callback waits for a lock, and who holds it touches what is away. */
static void a_callback_may_wait_for_who_touches(void **state)
{
	struct scene s;
	pthread_t thread;
	void *value;

	scene_open(&s);
	atomic_store(&locked, false);
	pthread_create(&thread, NULL, touch_under_lock, &s);
	while (!atomic_load(&locked))
		usleep(1000);
	driver.lock = &held;
	assert_int_equal(*(unsigned int *)s.p, 1);
	pthread_join(thread, &value);
	assert_int_equal((uintptr_t)value, 41);
	driver.lock = NULL;
	assert_numbered(s.p, PAGES - 1, 1);
	scene_close(&s);
}

static int count_calls(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
		       void *priv)
{
	if (inv->event == HMM_EVENT_MIGRATE && inv->owner)
		++*(_Atomic int *)priv;
	return 0;
}

static const struct hmm_interval_notifier_ops counting = { .size = sizeof(counting),
							   .invalidate = count_calls };

/* Drivers are told of what the watchdog has brought home before a device works again. */
static void drivers_are_told_of_it(void **state)
{
	struct scene s;
	struct hmm_interval_notifier *other;
	_Atomic int seen = 0;
	uint64_t seq;

	scene_open(&s);
	assert_int_equal(hmm_interval_notifier_insert(s.with.m.mm, at(s.p) + 32 * PAGE, 16 * PAGE,
						      &counting, &seen, &other),
			 0);
	seq = hmm_interval_read_begin(other);
	driver.word = word_of(&s, 40);
	assert_int_equal(*(unsigned int *)s.p, 1);
	assert_int_equal(hmm_mm_barrier(s.with.m.mm, HMM_FOREVER), 0);
	assert_true(hmm_interval_stale(other, seq));
	assert_true(seen > 0);
	driver.word = NULL;
	hmm_interval_notifier_remove(other);
	scene_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_callback_may_touch_what_is_away),
		cmocka_unit_test(a_callback_may_touch_what_was_never_touched),
		cmocka_unit_test(a_callback_of_an_unmapping_may_touch_what_is_away),
		cmocka_unit_test(a_callback_may_wait_for_who_touches),
		cmocka_unit_test(drivers_are_told_of_it),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
