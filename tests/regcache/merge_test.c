// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What becomes one registration, and what does not. */
#include "common/registrar.h"

static struct registrar g;

static const struct hmm_regcache_options never = { .size = sizeof(never), .max_merge = 1 };

static void what_overlaps_becomes_one(void **state)
{
	char *p = buffer(16 * PAGE);

	registrar_open(&g, NULL);
	assert_false(hits(&g, p, 6 * PAGE));
	assert_false(hits(&g, p + 4 * PAGE, 6 * PAGE));
	assert_int_equal(stats_of(&g).entries, 1);
	assert_int_equal(stats_of(&g).merged, 1);
	assert_int_equal(stats_of(&g).bytes, 10 * PAGE);
	assert_int_equal(g.ended, 1);
	assert_true(hits(&g, p, 10 * PAGE));
	/* Two at once. */
	assert_false(hits(&g, p + 12 * PAGE, 4 * PAGE));
	assert_false(hits(&g, p + 9 * PAGE, 4 * PAGE));
	assert_true(hits(&g, p, 16 * PAGE));
	assert_int_equal(stats_of(&g).entries, 1);
	assert_int_equal(stats_of(&g).merged, 3);
	registrar_close(&g);
	munmap(p, 16 * PAGE);
}

static void what_lies_inside_becomes_part(void **state)
{
	char *p = buffer(16 * PAGE);

	registrar_open(&g, NULL);
	for (int i = 1; i < 16; i += 2)
		assert_false(hits(&g, p + i * PAGE, 100));
	assert_int_equal(stats_of(&g).entries, 8);
	assert_false(hits(&g, p, 16 * PAGE));
	assert_int_equal(stats_of(&g).entries, 1);
	assert_int_equal(stats_of(&g).merged, 8);
	assert_true(hits(&g, p + 3 * PAGE, PAGE));
	registrar_close(&g);
	munmap(p, 16 * PAGE);
}

static void what_touches_becomes_one(void **state)
{
	char *p = buffer(16 * PAGE);

	registrar_open(&g, NULL);
	assert_false(hits(&g, p, 4 * PAGE));
	assert_false(hits(&g, p + 4 * PAGE, 4 * PAGE));
	assert_int_equal(stats_of(&g).entries, 1);
	assert_true(hits(&g, p, 8 * PAGE));
	/* Before it, too. */
	assert_false(hits(&g, p + 12 * PAGE, 4 * PAGE));
	assert_false(hits(&g, p + 8 * PAGE, 4 * PAGE));
	assert_true(hits(&g, p, 16 * PAGE));
	registrar_close(&g);
	munmap(p, 16 * PAGE);
}

/* What a program registers piece by piece is pinned a few times each. */
static void pieces_are_registered_a_few_times(void **state)
{
	enum { N = 256 };
	char *p = buffer(N * PAGE);
	uint64_t pages = 0;

	registrar_open(&g, NULL);
	for (int i = 0; i < N; i++)
		assert_false(hits(&g, p + i * PAGE, PAGE));
	for (unsigned int i = 0; i < g.made; i++)
		pages += g.record[i].length / PAGE;
	assert_true(pages <= 9 * N);
	assert_true(stats_of(&g).entries <= 9);
	registrar_close(&g);
	munmap(p, N * PAGE);
}

/* One of two neighbours comes and goes, and takes the other with it, a few times. */
static void joins_that_die_are_made_no_more(void **state)
{
	char *p = buffer(8 * PAGE);
	int missed = 0;

	registrar_open(&g, NULL);
	for (int i = 0; i < 50; i++) {
		missed += !hits(&g, p, 4 * PAGE);
		assert_false(hits(&g, p + 4 * PAGE, 4 * PAGE));
		replace(p + 4 * PAGE, 4 * PAGE);
	}
	assert_in_range(missed, 2, 10);
	registrar_close(&g);
	munmap(p, 8 * PAGE);
}

static void one_in_use_is_replaced_and_lives(void **state)
{
	char *p = buffer(16 * PAGE);
	struct hmm_registration *small;

	registrar_open(&g, NULL);
	small = get(&g, p, 4 * PAGE);
	assert_false(hits(&g, p + 2 * PAGE, 8 * PAGE));
	assert_int_equal(g.ended, 0);
	assert_int_equal(hmm_regcache_check(g.cache, small, 0), 0);
	assert_true(hits(&g, p, 4 * PAGE));
	replace(p, PAGE);
	assert_int_equal(hmm_regcache_check(g.cache, small, 0), -ESTALE);
	hmm_regcache_put(g.cache, small);
	assert_false(hits(&g, p, 4 * PAGE));
	assert_int_equal(g.ended, 2);
	registrar_close(&g);
	munmap(p, 16 * PAGE);
}

static void nothing_merges_where_it_is_forbidden(void **state)
{
	char *p = buffer(16 * PAGE);

	registrar_open(&g, &never);
	assert_false(hits(&g, p, 4 * PAGE));
	assert_false(hits(&g, p + 4 * PAGE, 4 * PAGE));
	assert_true(hits(&g, p, 4 * PAGE));
	assert_int_equal(stats_of(&g).entries, 2);
	/* In the index nothing overlaps: it takes the place of the second. */
	assert_false(hits(&g, p + 6 * PAGE, 4 * PAGE));
	assert_false(is_cached(&g, p + 4 * PAGE, PAGE));
	assert_true(hits(&g, p, 4 * PAGE));
	assert_int_equal(stats_of(&g).entries, 2);
	assert_int_equal(stats_of(&g).merged, 0);
	registrar_close(&g);
	munmap(p, 16 * PAGE);
}

static void merging_has_a_limit(void **state)
{
	const struct hmm_regcache_options o = { .size = sizeof(o), .max_merge = 8 * PAGE };
	char *p = buffer(16 * PAGE);

	registrar_open(&g, &o);
	assert_false(hits(&g, p, 4 * PAGE));
	assert_false(hits(&g, p + 4 * PAGE, 4 * PAGE));
	assert_true(hits(&g, p, 8 * PAGE));
	assert_false(hits(&g, p + 8 * PAGE, 8 * PAGE));
	assert_int_equal(stats_of(&g).entries, 2);
	/* What is asked for is registered as a whole, however large. */
	assert_false(hits(&g, p, 16 * PAGE));
	assert_int_equal(stats_of(&g).entries, 1);
	registrar_close(&g);
	munmap(p, 16 * PAGE);
}

/* Half of the larger registration cannot be written by the device. */
static void the_request_alone_where_the_whole_fails(void **state)
{
	char *p = buffer(16 * PAGE);

	registrar_open(&g, NULL);
	assert_false(hits(&g, p, 4 * PAGE));
	g.fails = -EPERM;
	g.fails_n = 1;
	assert_false(hits(&g, p + 4 * PAGE, 4 * PAGE));
	assert_int_equal(stats_of(&g).entries, 2);
	assert_true(hits(&g, p, 4 * PAGE));
	assert_true(hits(&g, p + 4 * PAGE, 4 * PAGE));
	registrar_close(&g);
	munmap(p, 16 * PAGE);
}

/* The middle goes and comes back. */
static void what_is_split_is_registered_in_parts(void **state)
{
	char *p = buffer(16 * PAGE);

	registrar_open(&g, NULL);
	assert_false(hits(&g, p, 16 * PAGE));
	assert_int_equal(munmap(p + 6 * PAGE, 2 * PAGE), 0);
	assert_false(hits(&g, p, 6 * PAGE));
	assert_false(hits(&g, p + 8 * PAGE, 8 * PAGE));
	assert_true(hits(&g, p, 6 * PAGE));
	assert_true(hits(&g, p + 8 * PAGE, 8 * PAGE));
	assert_int_equal(stats_of(&g).entries, 2);
	assert_ptr_equal(
		mmap(p + 6 * PAGE, 2 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		p + 6 * PAGE);
	paint(p + 6 * PAGE, 2 * PAGE);
	assert_true(hits(&g, p, 6 * PAGE));
	assert_false(hits(&g, p, 16 * PAGE));
	assert_true(hits(&g, p, 16 * PAGE));
	registrar_close(&g);
	munmap(p, 16 * PAGE);
}

static void registrations_are_aligned(void **state)
{
	const struct hmm_regcache_options o = { .size = sizeof(o), .align = 8 * PAGE };
	char *p = buffer(32 * PAGE);
	char *q = (char *)((at(p) + 8 * PAGE - 1) & ~(8 * PAGE - 1));
	struct hmm_registration *r;

	registrar_open(&g, &o);
	r = get(&g, q + PAGE, 7);
	assert_int_equal(r->start, at(q));
	assert_int_equal(r->length, 8 * PAGE);
	hmm_regcache_put(g.cache, r);
	registrar_close(&g);
	munmap(p, 32 * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_overlaps_becomes_one),
		cmocka_unit_test(what_lies_inside_becomes_part),
		cmocka_unit_test(what_touches_becomes_one),
		cmocka_unit_test(pieces_are_registered_a_few_times),
		cmocka_unit_test(joins_that_die_are_made_no_more),
		cmocka_unit_test(one_in_use_is_replaced_and_lives),
		cmocka_unit_test(nothing_merges_where_it_is_forbidden),
		cmocka_unit_test(merging_has_a_limit),
		cmocka_unit_test(the_request_alone_where_the_whole_fails),
		cmocka_unit_test(what_is_split_is_registered_in_parts),
		cmocka_unit_test(registrations_are_aligned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
