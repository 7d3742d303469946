// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The index of places and a region's frames, alone. */
#include "common/mappings.h"
#include "devmem/devmem.h"

#define BLOCK (BLOCK_PAGES * PAGE)
#define AT(page) (64 * BLOCK + (page)*PAGE)

static int setup(void **state)
{
	static struct devmem_space s;

	memset(&s, 0, sizeof(s));
	s.page = PAGE;
	s.block = BLOCK;
	objpool_init(&s.blocks, sizeof(struct block));
	objpool_init(&s.arrays, BLOCK_PAGES * sizeof(place_t));
	*state = &s;
	return 0;
}

static int teardown(void **state)
{
	struct devmem_space *s = *state;

	objpool_fini(&s->blocks);
	objpool_fini(&s->arrays);
	return 0;
}

static place_t place(uint32_t region, uint32_t frame)
{
	return region << FRAME_BITS | frame;
}

static void a_place_is_found_until_it_is_taken(void **state)
{
	struct devmem_space *s = *state;

	assert_int_equal(place_at(s, AT(3)), 0);
	assert_int_equal(places_put(s, AT(3), AT(5), place(1, 7), false), 0);
	assert_int_equal(place_at(s, AT(2)), 0);
	assert_int_equal(place_at(s, AT(3)), place(1, 7));
	assert_int_equal(place_at(s, AT(4) + 100), place(1, 8));
	assert_int_equal(place_at(s, AT(5)), 0);
	assert_int_equal(places_take(s, AT(3), AT(4)), 0);
	assert_int_equal(place_at(s, AT(3)), 0);
	assert_int_equal(place_at(s, AT(4)), place(1, 8));
	assert_int_equal(places_take(s, 0, UINT64_MAX), 0);
	assert_null(s->places.root);
}

/* The block of which everything came home is used again: for other pages, and a whole block. */
static void nothing_is_left_of_what_came_home(void **state)
{
	struct devmem_space *s = *state;

	for (uint64_t at = 0; at < 5 * BLOCK_PAGES; at += BLOCK_PAGES + 1) {
		assert_int_equal(places_put(s, AT(at), AT(at + 1), place(1, 7), false), 0);
		for (uint64_t i = 0; i < 6 * BLOCK_PAGES; i++)
			assert_int_equal(place_at(s, AT(i)), i == at ? place(1, 7) : 0);
		assert_int_equal(places_take(s, AT(at), AT(at + 1)), 0);
		assert_null(s->places.root);
	}
	assert_int_equal(places_put(s, AT(0), AT(512), place(2, 1024), true), 0);
	assert_null(((struct block *)s->places.root)->page);
	assert_int_equal(place_at(s, AT(5)), place(2, 1024 + 5));
	assert_int_equal(places_take(s, 0, UINT64_MAX), 0);
	assert_int_equal(places_put(s, AT(9), AT(10), place(1, 7), false), 0);
	assert_int_equal(place_at(s, AT(5)), 0);
	assert_int_equal(places_take(s, 0, UINT64_MAX), 0);
}

static void a_whole_block_needs_no_array_and_can_be_cut(void **state)
{
	struct devmem_space *s = *state;
	struct run run;

	assert_int_equal(places_put(s, AT(0), AT(512), place(2, 1024), true), 0);
	assert_null(((struct block *)s->places.root)->page);
	assert_true(places_next(s, 0, UINT64_MAX, NULL, &run));
	assert_true(run.start == AT(0) && run.end == AT(512) && run.huge);
	assert_int_equal(places_take(s, AT(100), AT(101)), 0);
	assert_int_equal(place_at(s, AT(99)), place(2, 1024 + 99));
	assert_int_equal(place_at(s, AT(100)), 0);
	assert_int_equal(place_at(s, AT(511)), place(2, 1024 + 511));
	assert_true(places_next(s, AT(50), UINT64_MAX, NULL, &run));
	assert_true(run.start == AT(50) && run.end == AT(100) && !run.huge);
	assert_true(places_next(s, run.end, UINT64_MAX, NULL, &run));
	assert_true(run.start == AT(101) && run.end == AT(512));
	assert_int_equal(places_take(s, 0, UINT64_MAX), 0);
}

static void rows_end_where_frames_do_not_follow_and_at_blocks(void **state)
{
	struct devmem_space *s = *state;
	struct hmm_devmem two = { .id = 2 };
	struct run run;

	assert_int_equal(places_put(s, AT(10), AT(12), place(1, 0), false), 0);
	assert_int_equal(places_put(s, AT(12), AT(13), place(2, 2), false), 0);
	assert_int_equal(places_put(s, AT(511), AT(512), place(1, 40), false), 0);
	assert_int_equal(places_put(s, AT(512), AT(513), place(1, 41), false), 0);
	assert_true(places_next(s, 0, UINT64_MAX, NULL, &run));
	assert_true(run.start == AT(10) && run.end == AT(12));
	assert_true(places_next(s, 0, UINT64_MAX, &two, &run));
	assert_true(run.start == AT(12) && run.end == AT(13) && run.first == place(2, 2));
	assert_true(places_next(s, AT(13), UINT64_MAX, NULL, &run));
	assert_true(run.start == AT(511) && run.end == AT(512));
	assert_false(places_next(s, AT(13), AT(511), NULL, &run));
	assert_int_equal(places_take(s, 0, UINT64_MAX), 0);
}

static void huge_pages_in_a_row_become_one(void **state)
{
	struct devmem_space *s = *state;
	struct run run;

	assert_int_equal(places_put(s, AT(0), AT(3 * 512), place(1, 512), true), 0);
	assert_int_equal(places_put(s, AT(3 * 512), AT(4 * 512), place(1, 2048), false), 0);
	assert_int_equal(places_put(s, AT(4 * 512), AT(5 * 512), place(1, 2560), true), 0);
	assert_int_equal(places_put(s, AT(5 * 512), AT(6 * 512), place(1, 0), true), 0);
	assert_int_equal(place_at(s, AT(2 * 512 + 9)), place(1, 3 * 512 + 9));
	/* as far as they are huge */
	assert_true(places_next(s, 0, UINT64_MAX, NULL, &run) && run.end == AT(512));
	places_add_huge(s, UINT64_MAX, &run);
	assert_true(run.start == AT(0) && run.end == AT(3 * 512));
	/* none that ends behind the range */
	assert_true(places_next(s, 0, UINT64_MAX, NULL, &run));
	places_add_huge(s, AT(2 * 512 - 1), &run);
	assert_true(run.end == AT(512));
	/* none whose frames lie elsewhere */
	assert_true(places_next(s, AT(4 * 512), UINT64_MAX, NULL, &run));
	places_add_huge(s, UINT64_MAX, &run);
	assert_true(run.end == AT(5 * 512));
	assert_int_equal(places_take(s, AT(100), AT(2 * 512)), 0);
	assert_int_equal(place_at(s, AT(99)), place(1, 512 + 99));
	assert_int_equal(place_at(s, AT(600)), 0);
	assert_int_equal(place_at(s, AT(2 * 512)), place(1, 3 * 512));
	assert_int_equal(places_take(s, 0, UINT64_MAX), 0);
}

/* What follows by number alone is another region's. */
static void huge_pages_of_two_regions_do_not_join(void **state)
{
	struct devmem_space *s = *state;
	struct run run;

	assert_int_equal(places_put(s, AT(0), AT(512), place(2, 0) - 512, true), 0);
	assert_int_equal(places_put(s, AT(512), AT(1024), place(2, 0), true), 0);
	assert_true(places_next(s, 0, UINT64_MAX, NULL, &run));
	places_add_huge(s, UINT64_MAX, &run);
	assert_true(run.end == AT(512));
	assert_int_equal(places_take(s, 0, UINT64_MAX), 0);
}

/* 16 bytes a page of 4 KiB at most, with what a frame takes. */
static void the_index_is_small(void **state)
{
	const size_t array = sizeof(struct block) + BLOCK_PAGES * sizeof(place_t);

	assert_true(array / BLOCK_PAGES + 1 <= 16);
	assert_true(sizeof(struct block) <= 80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_place_is_found_until_it_is_taken, setup,
						teardown),
		cmocka_unit_test_setup_teardown(nothing_is_left_of_what_came_home, setup, teardown),
		cmocka_unit_test_setup_teardown(a_whole_block_needs_no_array_and_can_be_cut, setup,
						teardown),
		cmocka_unit_test_setup_teardown(rows_end_where_frames_do_not_follow_and_at_blocks,
						setup, teardown),
		cmocka_unit_test_setup_teardown(huge_pages_in_a_row_become_one, setup, teardown),
		cmocka_unit_test_setup_teardown(huge_pages_of_two_regions_do_not_join, setup,
						teardown),
		cmocka_unit_test(the_index_is_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
