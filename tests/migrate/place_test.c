// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Where each page is, as hmm_place_walk() tells it. */
#include "common/devmem.h"

#define RUNS_MAX 16

static struct with_devmem with;

struct told {
	struct hmm_place_run run[RUNS_MAX];
	size_t n;
};

static int setup(void **state)
{
	devmem_open(&with, REGION, 0);
	*state = &with;
	return 0;
}

static int teardown(void **state)
{
	devmem_close(*state);
	return 0;
}

static int tell(const struct hmm_place_run *run, void *arg)
{
	struct told *t = arg;

	assert_true(t->n < RUNS_MAX);
	t->run[t->n++] = *run;
	return 0;
}

static struct told walk(const struct with_devmem *w, const void *p, size_t bytes)
{
	struct told t = { .n = 0 };

	assert_int_equal(hmm_place_walk(w->m.mm, at(p), at(p) + bytes, tell, &t), 0);
	return t;
}

static void assert_run(const struct hmm_place_run *run, const char *p, size_t from, size_t to,
		       enum hmm_place place)
{
	assert_int_equal(run->start, at(p) + from * PAGE);
	assert_int_equal(run->end, at(p) + to * PAGE);
	assert_int_equal(run->place, place);
}

static void each_page_is_told_of_once(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon_small(16 * PAGE, RW);
	struct told t;

	number(p, 8, 1);
	assert_int_equal(to_device(w, p + 2 * PAGE, 3), 0);
	assert_int_equal(away(w, p + 2 * PAGE, 3), 3);
	t = walk(w, p, 16 * PAGE);
	assert_int_equal(t.n, 4);
	assert_run(&t.run[0], p, 0, 2, HMM_PLACE_SYSTEM);
	assert_run(&t.run[1], p, 2, 5, HMM_PLACE_DEVICE);
	assert_run(&t.run[2], p, 5, 8, HMM_PLACE_SYSTEM);
	assert_run(&t.run[3], p, 8, 16, HMM_PLACE_NONE);
	assert_int_equal(t.run[1].device_start, at(on_device(w, 0)));
	assert_ptr_equal(t.run[1].owner, w);
	for (size_t i = 0; i < t.n; i++) {
		assert_int_equal(t.run[i].stays, -1);
		assert_int_equal(t.run[i].page_size, PAGE);
		assert_true(i == 1 || (!t.run[i].device_start && !t.run[i].owner));
	}
	assert_int_equal(away(w, p + 2 * PAGE, 3), 3);
	p[3 * PAGE] = 1;
	t = walk(w, p + 2 * PAGE, 3 * PAGE);
	assert_int_equal(t.n, 3);
	assert_run(&t.run[1], p, 3, 4, HMM_PLACE_SYSTEM);
	munmap(p, 16 * PAGE);
}

static void the_zero_page_is_told(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(2 * PAGE, RW);
	struct told t;

	if (reads_make_private(PAGE))
		skip();
	(void)*(volatile char *)p;
	t = walk(w, p, 2 * PAGE);
	assert_int_equal(t.n, 2);
	assert_run(&t.run[0], p, 0, 1,
		   mm_pagemap(w->m.mm)->scan ? HMM_PLACE_ZERO : HMM_PLACE_SYSTEM);
	munmap(p, 2 * PAGE);
}

static void huge_pages_have_their_size_on_both_sides(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(4 * MIB, RW);
	struct told t;

	madvise(p, 4 * MIB, MADV_HUGEPAGE);
	memset(p, 1, 4 * MIB);
	assert_int_equal(to_device(w, p, 512), 0);
	if (w->result.huge != 512)
		skip();
	t = walk(w, p, 4 * MIB);
	assert_int_equal(t.n, 2);
	assert_run(&t.run[0], p, 0, 512, HMM_PLACE_DEVICE);
	assert_run(&t.run[1], p, 512, 1024, HMM_PLACE_SYSTEM);
	assert_int_equal(t.run[0].page_size, 2 * MIB);
	assert_int_equal(t.run[1].page_size, 2 * MIB);
	munmap(p, 4 * MIB);
}

static void what_a_device_has_exclusively_is_told(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(4 * PAGE, RW);
	struct hmm_exclusive *ex;
	uint64_t place;
	struct told t;

	number(p, 4, 1);
	assert_int_equal(
		hmm_exclusive_begin(w->m.mm, at(p) + PAGE, at(p) + 2 * PAGE, w, HMM_FOREVER, &ex),
		0);
	assert_int_equal(hmm_exclusive_check(ex, at(p) + PAGE, &place), 0);
	t = walk(w, p, 4 * PAGE);
	assert_int_equal(t.n, 3);
	assert_run(&t.run[1], p, 1, 2, HMM_PLACE_EXCLUSIVE);
	assert_int_equal(t.run[1].device_start, place);
	hmm_exclusive_end(ex);
	t = walk(w, p, 4 * PAGE);
	assert_int_equal(t.n, 1);
	munmap(p, 4 * PAGE);
}

static void why_a_mapping_stays_is_told(void **state)
{
	static const struct {
		int prot;
		int flags;
		int32_t stays;
	} rows[] = {
		{ RW, MAP_PRIVATE, -1 },
		{ RW, MAP_SHARED, HMM_MIGRATE_SHARED },
		{ RW | PROT_EXEC, MAP_PRIVATE, HMM_MIGRATE_PERMISSION },
	};
	struct with_devmem *w = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *p = map_fd(2 * PAGE, rows[i].prot, rows[i].flags | MAP_ANONYMOUS, -1, 0);
		int ret;

		p[0] = 1;
		p[PAGE] = 1;
		for (struct told t = walk(w, p, 2 * PAGE); t.n; t.n = 0) {
			assert_int_equal(t.n, 1);
			assert_run(&t.run[0], p, 0, 2, HMM_PLACE_SYSTEM);
			assert_int_equal(t.run[0].stays, rows[i].stays);
		}
		/* and the move says the same */
		ret = to_device(w, p, 2);
		assert_int_equal(ret, rows[i].stays < 0 ? 0 : -ENOENT);
		if (rows[i].stays >= 0)
			assert_int_equal(w->result.left[rows[i].stays], 2);
		munmap(p, 2 * PAGE);
	}
}

static int no_region(const struct hmm_place_run *run, void *arg)
{
	const struct hmm_devmem_stats *s = arg;

	assert_true(run->end <= s->start || run->start >= s->start + s->bytes);
	return 0;
}

static int stop(const struct hmm_place_run *run, void *arg)
{
	(void)run;
	++*(int *)arg;
	return 7;
}

static void the_region_itself_is_left_out_and_a_walk_can_be_ended(void **state)
{
	struct with_devmem *w = *state;
	struct hmm_devmem_stats s = { .size = sizeof(s) };
	char *p = map_anon(4 * PAGE, RW);
	int calls = 0;

	number(p, 4, 1);
	assert_int_equal(to_device(w, p, 4), 0);
	assert_int_equal(hmm_devmem_get_stats(w->d, &s), 0);
	assert_int_equal(hmm_place_walk(w->m.mm, 0, UINT64_MAX, no_region, &s), 0);
	assert_int_equal(hmm_place_walk(w->m.mm, 0, UINT64_MAX, stop, &calls), 7);
	assert_int_equal(calls, 1);
	munmap(p, 4 * PAGE);
}

struct order {
	uint64_t at;
	size_t n;
};

static int in_order(const struct hmm_place_run *run, void *arg)
{
	struct order *o = arg;

	assert_int_equal(run->start, o->at);
	assert_int_equal(run->end, o->at + PAGE);
	assert_int_equal(run->place, o->n % 2 ? HMM_PLACE_NONE : HMM_PLACE_SYSTEM);
	o->at = run->end;
	o->n++;
	return 0;
}

static void runs_beyond_one_look_are_told(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(1024 * PAGE, RW);
	struct order o = { .at = at(p) };

	madvise(p, 1024 * PAGE, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < 1024; i += 2)
		p[i * PAGE] = 1;
	assert_int_equal(hmm_place_walk(w->m.mm, at(p), at(p) + 1024 * PAGE, in_order, &o), 0);
	assert_int_equal(o.n, 1024);
	munmap(p, 1024 * PAGE);
}

static void places_have_names(void **state)
{
	(void)state;
	assert_string_equal(hmm_place_name(HMM_PLACE_DEVICE), "device");
	assert_string_equal(hmm_place_name(HMM_PLACE_NR), "?");
	for (int i = 0; i < HMM_PLACE_NR; i++)
		assert_string_not_equal(hmm_place_name((enum hmm_place)i), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_page_is_told_of_once, setup, teardown),
		cmocka_unit_test_setup_teardown(the_zero_page_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(huge_pages_have_their_size_on_both_sides, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_a_device_has_exclusively_is_told, setup,
						teardown),
		cmocka_unit_test_setup_teardown(why_a_mapping_stays_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_region_itself_is_left_out_and_a_walk_can_be_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(runs_beyond_one_look_are_told, setup, teardown),
		cmocka_unit_test(places_have_names),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
