// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The index: what it holds, how it grows, and readers beside a writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "regcache/cache.h"

#define N 3000 /* it grows three times for that */
#define STEP 0x10000ULL
#define LENGTH 0x8000ULL

static struct entry *entries;
static struct index ix;

/* Entry i lies at (i + 1) * STEP. */
static int set_up(void **state)
{
	entries = aligned_alloc(64, N * sizeof(*entries));
	assert_non_null(entries);
	for (uint64_t i = 0; i < N; i++)
		entries[i] = (struct entry){ .r = { .start = (i + 1) * STEP, .length = LENGTH } };
	ix = (struct index){ .version = 0 };
	assert_int_equal(index_init(&ix), 0);
	return 0;
}

static int tear_down(void **state)
{
	index_fini(&ix);
	free(entries);
	return 0;
}

static void add(size_t i)
{
	const size_t place = index_place(&ix, entries[i].r.start);

	assert_int_equal(index_splice(&ix, place, place, &entries[i]), 0);
	entries[i].indexed = true;
}

static void take_out(size_t i)
{
	const size_t place = index_place(&ix, entries[i].r.start);

	assert_ptr_equal(index_at(&ix, place), &entries[i]);
	assert_int_equal(index_splice(&ix, place, place + 1, NULL), 0);
	entries[i].indexed = false;
}

static void holds_just_these(void)
{
	struct entry *last = NULL;
	size_t n = 0;

	for (size_t i = 0; i < N; i++) {
		const uint64_t start = entries[i].r.start;

		assert_ptr_equal(index_find(&ix, start - 1), last);
		if (entries[i].indexed) {
			assert_ptr_equal(index_at(&ix, n), &entries[i]);
			assert_int_equal(index_place(&ix, start + LENGTH - 1), n);
			n++;
			last = &entries[i];
		}
		assert_ptr_equal(index_find(&ix, start), last);
		assert_ptr_equal(index_find(&ix, start + STEP - 1), last);
		assert_int_equal(index_place(&ix, start + LENGTH), n);
	}
	assert_int_equal(index_count(&ix), n);
}

static unsigned int next(void)
{
	static unsigned int random = 1;

	return (random = random * 1103515245 + 12345) >> 8;
}

static void what_is_put_in_is_found(void **state)
{
	assert_null(index_find(&ix, 5));
	for (size_t i = 0; i < 2 * N; i++) {
		const size_t which = next() % N;

		if (entries[which].indexed)
			take_out(which);
		else
			add(which);
		if (i % 500 == 0)
			holds_just_these();
	}
	for (size_t i = 0; i < N; i++)
		if (!entries[i].indexed)
			add(i);
	holds_just_these();
	/* Many at once. */
	for (size_t i = 0; i < N; i++)
		entries[i].indexed = i % 3 == 0;
	index_sweep(&ix);
	holds_just_these();
	take_out(0);
	add(1);
	holds_just_these();
}

/* As a registration takes the place of those that it overlaps. */
static void one_takes_the_place_of_several(void **state)
{
	struct entry large = { .r = { .start = 3 * STEP, .length = 4 * STEP }, .indexed = true };

	for (size_t i = 0; i < 10; i++)
		add(i);
	assert_int_equal(index_splice(&ix, 2, 6, &large), 0);
	assert_int_equal(index_count(&ix), 7);
	assert_ptr_equal(index_find(&ix, 6 * STEP), &large);
	assert_ptr_equal(index_find(&ix, 3 * STEP - 1), &entries[1]);
	assert_ptr_equal(index_find(&ix, 7 * STEP), &entries[6]);
	assert_int_equal(index_splice(&ix, 0, 7, NULL), 0);
	assert_null(index_find(&ix, 6 * STEP));
}

static _Atomic bool stop;
static _Atomic int wrong;
static _Atomic unsigned long found;

/* Every tenth is there all the time, and is the last one before its neighbours or right there. */
static void *look(void *arg)
{
	unsigned int random = 3;

	while (!stop) {
		const size_t i = (random = random * 1103515245 + 12345) % N / 10 * 10;
		const struct entry *e = index_find(&ix, entries[i].r.start + 7);

		wrong += e != &entries[i];
		e = index_find(&ix, entries[i].r.start + 9 * STEP);
		wrong += !e || e < &entries[i] || e > &entries[i] + 9;
		found++;
	}
	return NULL;
}

static void readers_see_what_is_there_all_the_time(void **state)
{
	pthread_t thread[2];

	for (size_t i = 0; i < N; i += 10)
		add(i);
	stop = false;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, look, NULL), 0);
	for (size_t i = 0; i < 2 * N || found < 10000; i++) {
		const size_t which = next() % N;

		if (which % 10 == 0)
			continue;
		if (entries[which].indexed)
			take_out(which);
		else
			add(which);
	}
	stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_put_in_is_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_takes_the_place_of_several, set_up, tear_down),
		cmocka_unit_test_setup_teardown(readers_see_what_is_there_all_the_time, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
