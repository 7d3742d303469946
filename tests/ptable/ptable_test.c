// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The device page table: sizes, replacement, removal, reclaim, readers beside writers. */
#include "common/svm.h"
#include "ptable/ptable.h"

#define V HMM_PFN_VALID
#define W HMM_PFN_WRITE
#define G1 (1UL << 30)
#define BASE 0x7f1240000000UL

static int open_table(void **state)
{
	struct hmm_ptable *t;

	if (hmm_ptable_create(NULL, &t))
		return -1;
	*state = t;
	return 0;
}

static int close_table(void **state)
{
	hmm_ptable_destroy(*state);
	return 0;
}

static void set1(struct hmm_ptable *t, uint64_t addr, uint32_t shift, uint64_t entry)
{
	assert_int_equal(hmm_ptable_set(t, addr, shift, &entry, 1), 0);
}

static void empty_table_has_nothing(void **state)
{
	struct hmm_ptable *t = *state;

	assert_int_equal(hmm_ptable_lookup(t, BASE, NULL), 0);
	assert_int_equal(hmm_ptable_lookup(t, UINT64_MAX, NULL), 0);
	assert_int_equal(hmm_ptable_clear(t, 0, UINT64_MAX), 0);
}

static void each_size_is_found_with_its_size(void **state)
{
	struct hmm_ptable *t = *state;
	uint32_t shift = 0;

	set1(t, BASE, 12, V | 1);
	set1(t, BASE + M2, 21, V | 2);
	set1(t, BASE + G1, 30, V | 3);
	assert_int_equal(hmm_ptable_lookup(t, BASE + 4095, &shift), V | 1);
	assert_int_equal(shift, 12);
	assert_int_equal(hmm_ptable_lookup(t, BASE + PAGE, &shift), 0);
	assert_int_equal(hmm_ptable_lookup(t, BASE + 2 * M2 - 1, &shift), V | 2);
	assert_int_equal(shift, 21);
	assert_int_equal(hmm_ptable_lookup(t, BASE + 2 * G1 - 1, &shift), V | 3);
	assert_int_equal(shift, 30);
	assert_int_equal(hmm_ptable_lookup(t, BASE + 2 * G1, &shift), 0);
}

static void set_leaves_zero_slots_alone(void **state)
{
	struct hmm_ptable *t = *state;
	uint64_t e[3] = { V | 7, 0, V | 9 };

	set1(t, BASE + PAGE, 12, V | 1);
	assert_int_equal(hmm_ptable_set(t, BASE, 12, e, 3), 0);
	assert_int_equal(hmm_ptable_lookup(t, BASE, NULL), V | 7);
	assert_int_equal(hmm_ptable_lookup(t, BASE + PAGE, NULL), V | 1);
	assert_int_equal(hmm_ptable_lookup(t, BASE + 2 * PAGE, NULL), V | 9);
}

static void set_crosses_tables(void **state)
{
	struct hmm_ptable *t = *state;
	uint64_t e[1024];

	for (unsigned int i = 0; i < 1024; i++)
		e[i] = V | i;
	assert_int_equal(hmm_ptable_set(t, BASE + G1 - 512 * PAGE, 12, e, 1024), 0);
	for (unsigned int i = 0; i < 1024; i++)
		assert_int_equal(hmm_ptable_lookup(t, BASE + G1 + i * PAGE - 512 * PAGE, NULL),
				 V | i);
}

/* Pages from addr on, together and one by one. */
static void check_pages(const struct hmm_ptable *t, uint64_t addr, uint64_t page, unsigned int n)
{
	uint64_t entries[1200];

	entries[n] = 42;
	hmm_ptable_lookup_pages(t, addr, n, entries);
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(entries[i], hmm_ptable_lookup(t, addr + i * page, NULL));
	assert_int_equal(entries[n], 42);
}

static void pages_are_looked_up_together_as_one_by_one(void **state)
{
	const struct hmm_ptable_geometry small = { 32, 12, 2, { 10, 10 } };
	struct hmm_ptable *t = *state;
	uint64_t e[700];

	for (unsigned int i = 0; i < 700; i++)
		e[i] = i % 5 ? V | (BASE / PAGE + i) : 0;
	/* Two tables, a hole, a large entry, and again pages. */
	assert_int_equal(hmm_ptable_set(t, BASE + M2 - 300 * PAGE, 12, e, 400), 0);
	set1(t, BASE + 3 * M2, 21, V | 5);
	set1(t, BASE + 4 * M2, 12, V | W | 6);
	for (unsigned int n = 0; n < 1100; n += 99)
		for (uint64_t at = 0; at < 5 * M2; at += 61 * PAGE)
			check_pages(t, BASE + at, PAGE, n);
	/* Up to the end, and beyond what the table maps: each bit that is none of its addresses. */
	for (unsigned int bit = 57; bit < 64; bit++) {
		assert_int_equal(hmm_ptable_lookup(t, 1UL << bit, NULL), 0);
		assert_int_equal(hmm_ptable_lookup(t, (1UL << bit) + 333 * M2, NULL), 0);
	}
	check_pages(t, (1UL << 57) - 20 * PAGE, PAGE, 64);
	check_pages(t, UINT64_MAX - 16 * PAGE + 1, PAGE, 16);
	assert_int_equal(hmm_ptable_create(&small, &t), 0);
	assert_int_equal(hmm_ptable_set(t, 1024 * PAGE - 100 * PAGE, 12, e, 700), 0);
	for (uint64_t at = 900; at < 1900; at += 37)
		check_pages(t, at * PAGE, PAGE, 211);
	hmm_ptable_destroy(t);
}

static void set_refuses_what_cannot_be_an_entry(void **state)
{
	struct hmm_ptable *t = *state;
	uint64_t good = V | 1;
	uint64_t bad = 1;

	assert_int_equal(hmm_ptable_set(t, BASE + 1, 12, &good, 1), -EINVAL);
	assert_int_equal(hmm_ptable_set(t, BASE + PAGE, 21, &good, 1), -EINVAL);
	assert_int_equal(hmm_ptable_set(t, BASE, 13, &good, 1), -EINVAL);
	assert_int_equal(hmm_ptable_set(t, BASE, 12, &bad, 1), -EINVAL);
	assert_int_equal(hmm_ptable_set(t, 1UL << 57, 12, &good, 1), -EINVAL);
	assert_int_equal(hmm_ptable_lookup(t, BASE, NULL), 0);
}

static void smaller_entry_replaces_larger(void **state)
{
	struct hmm_ptable *t = *state;
	uint32_t shift;

	set1(t, BASE, 21, V | 1);
	set1(t, BASE + PAGE, 12, V | 2);
	assert_int_equal(hmm_ptable_lookup(t, BASE + PAGE, &shift), V | 2);
	assert_int_equal(shift, 12);
	assert_int_equal(hmm_ptable_lookup(t, BASE, NULL), 0);
}

static void larger_entry_replaces_smaller(void **state)
{
	struct hmm_ptable *t = *state;
	uint32_t shift;

	set1(t, BASE, 12, V | 1);
	set1(t, BASE + M2, 12, V | 2);
	set1(t, BASE, 30, V | 3);
	assert_int_equal(hmm_ptable_lookup(t, BASE + M2, &shift), V | 3);
	assert_int_equal(shift, 30);
	assert_int_equal(hmm_ptable_clear(t, 0, UINT64_MAX), 1);
	/* The tables that it replaced wait for a closed gate. */
	assert_true(hmm_ptable_reclaim(t) >= 3 * PAGE);
}

/* 64 GiB apart leaves share a slot of the directory; the one that lost it is found all the same. */
static void leaves_that_share_a_directory_slot_are_both_found(void **state)
{
	struct hmm_ptable *t = *state;
	uint64_t far = BASE - (1UL << PT_DIR_SHIFT);

	set1(t, BASE, 12, V | 1);
	set1(t, far, 12, V | 2);
	assert_int_equal(pt_dir_index(BASE), pt_dir_index(far));
	assert_null(pt_dir_leaf(t, BASE));
	assert_non_null(pt_dir_leaf(t, far));
	assert_int_equal(hmm_ptable_lookup(t, BASE, NULL), V | 1);
	assert_int_equal(hmm_ptable_lookup(t, far, NULL), V | 2);
	assert_int_equal(hmm_ptable_lookup(t, far + (1UL << 57), NULL), 0);
}

/* The table that mapped one address maps another now: the directory must have forgotten. */
static void a_table_used_again_answers_for_its_new_address_only(void **state)
{
	struct hmm_ptable *t = *state;
	const struct pt_node *leaf;

	set1(t, BASE, 12, V | 1);
	leaf = pt_dir_leaf(t, BASE);
	assert_int_equal(hmm_ptable_clear(t, BASE, BASE + PAGE), 1);
	assert_true(hmm_ptable_reclaim(t) > 0);
	set1(t, BASE + 7 * M2, 12, V | 2);
	assert_ptr_equal(pt_dir_leaf(t, BASE + 7 * M2), leaf);
	assert_int_equal(hmm_ptable_lookup(t, BASE, NULL), 0);
	assert_int_equal(hmm_ptable_lookup(t, BASE + 7 * M2, NULL), V | 2);
}

/* A 1 GiB entry takes all the tables below it from the directory. */
static void a_large_entry_takes_its_tables_from_the_directory(void **state)
{
	struct hmm_ptable *t = *state;

	for (unsigned int i = 0; i < 512; i += 73)
		set1(t, BASE + i * M2, 12, V | i);
	set1(t, BASE, 30, V | 1);
	for (unsigned int i = 0; i < 512; i += 73) {
		assert_null(pt_dir_leaf(t, BASE + i * M2));
		assert_int_equal(hmm_ptable_lookup(t, BASE + i * M2, NULL), V | 1);
	}
}

static void clear_takes_exactly_the_range(void **state)
{
	struct hmm_ptable *t = *state;

	for (unsigned int i = 0; i < 4; i++)
		set1(t, BASE + i * PAGE, 12, V | i);
	assert_int_equal(hmm_ptable_clear(t, BASE + PAGE, BASE + 3 * PAGE), 2);
	assert_int_equal(hmm_ptable_lookup(t, BASE, NULL), V | 0);
	assert_int_equal(hmm_ptable_lookup(t, BASE + PAGE, NULL), 0);
	assert_int_equal(hmm_ptable_lookup(t, BASE + 2 * PAGE, NULL), 0);
	assert_int_equal(hmm_ptable_lookup(t, BASE + 3 * PAGE, NULL), V | 3);
}

static void clear_takes_a_larger_entry_whole(void **state)
{
	struct hmm_ptable *t = *state;

	set1(t, BASE, 21, V | 1);
	assert_int_equal(hmm_ptable_clear(t, BASE + 5 * PAGE, BASE + 6 * PAGE), 1);
	assert_int_equal(hmm_ptable_lookup(t, BASE, NULL), 0);
}

static void clear_of_part_of_a_page_takes_it(void **state)
{
	struct hmm_ptable *t = *state;

	set1(t, BASE, 12, V | 1);
	assert_int_equal(hmm_ptable_clear(t, BASE + 100, BASE + 101), 1);
}

static void clear_bits_takes_only_the_bits(void **state)
{
	struct hmm_ptable *t = *state;

	set1(t, BASE, 12, V | W | 1);
	set1(t, BASE + PAGE, 12, V | 2);
	assert_int_equal(hmm_ptable_clear_bits(t, BASE, BASE + M2, W | V), 1);
	assert_int_equal(hmm_ptable_lookup(t, BASE, NULL), V | 1);
	assert_int_equal(hmm_ptable_lookup(t, BASE + PAGE, NULL), V | 2);
}

static void trim_keeps_what_sticks_out_and_marks_it(void **state)
{
	struct hmm_ptable *t = *state;

	set1(t, BASE, 21, V | 1);
	set1(t, BASE + M2, 12, V | 2);
	assert_int_equal(pt_trim(t, BASE + M2 - PAGE, BASE + M2 + PAGE, W), 2);
	assert_int_equal(hmm_ptable_lookup(t, BASE, NULL), V | W | 1);
	assert_int_equal(hmm_ptable_lookup(t, BASE + M2, NULL), 0);
	assert_int_equal(pt_trim(t, BASE, BASE + M2, W), 1);
	assert_int_equal(hmm_ptable_lookup(t, BASE, NULL), 0);
}

static void any_sees_an_entry_that_overlaps(void **state)
{
	struct hmm_ptable *t = *state;

	assert_false(pt_any(t, 0, UINT64_MAX));
	set1(t, BASE, 21, V | 1);
	assert_true(pt_any(t, BASE + PAGE, BASE + 2 * PAGE));
	assert_false(pt_any(t, BASE + M2, BASE + 2 * M2));
	assert_false(pt_any(t, BASE - PAGE, BASE));
}

static void reclaim_frees_empty_tables_once(void **state)
{
	struct hmm_ptable *t = *state;
	uint64_t bytes;

	set1(t, BASE, 12, V | 1);
	set1(t, BASE + G1, 12, V | 2);
	assert_int_equal(hmm_ptable_reclaim(t), 0);
	hmm_ptable_clear(t, BASE, BASE + PAGE);
	bytes = hmm_ptable_reclaim(t);
	/*
	 * a table of 4K entries and one of 2M entries; the level above still serves the other entry
	 */
	assert_in_range(bytes, 2 * PAGE, 2 * PAGE + 256);
	assert_int_equal(hmm_ptable_reclaim(t), 0);
	assert_int_equal(hmm_ptable_lookup(t, BASE + G1, NULL), V | 2);
	set1(t, BASE, 12, V | 3);
	assert_int_equal(hmm_ptable_lookup(t, BASE, NULL), V | 3);
}

struct walked {
	struct hmm_ptable *t;
	uint64_t addr[1000];
	unsigned int n;
};

static int on_entry(uint64_t addr, uint32_t shift, uint64_t entry, void *arg)
{
	struct walked *w = arg;

	w->addr[w->n++] = addr;
	/* A visitor may change the table. */
	hmm_ptable_clear(w->t, addr, addr + (1UL << shift));
	return w->n == 999 ? 42 : 0;
}

static void walk_goes_in_order_and_may_change_the_table(void **state)
{
	struct walked w = { .t = *state };

	for (unsigned int i = 0; i < 500; i++)
		set1(w.t, BASE + (i * 37 % 500) * 3 * PAGE, 12, V | i);
	set1(w.t, BASE + G1, 21, V);
	assert_int_equal(hmm_ptable_walk(w.t, BASE + PAGE, UINT64_MAX, on_entry, &w), 0);
	assert_int_equal(w.n, 500);
	for (unsigned int i = 1; i < w.n; i++)
		assert_true(w.addr[i] > w.addr[i - 1]);
	assert_int_equal(hmm_ptable_clear(w.t, 0, UINT64_MAX), 1);
}

static void walk_stops_when_told(void **state)
{
	struct walked w = { .t = *state, .n = 998 };

	set1(w.t, BASE, 12, V);
	set1(w.t, BASE + PAGE, 12, V);
	assert_int_equal(hmm_ptable_walk(w.t, 0, UINT64_MAX, on_entry, &w), 42);
	assert_int_equal(w.n, 999);
}

static void machine_of_16k_pages_and_64_bits(void **state)
{
	struct hmm_ptable_geometry g = { 64, 14, 5, { 6, 11, 11, 11, 11 } };
	struct hmm_ptable *t;
	uint32_t shift;

	assert_int_equal(hmm_ptable_create(&g, &t), 0);
	set1(t, UINT64_MAX - 0x3fff, 14, V | 1);
	set1(t, 1UL << 25, 25, V | 2);
	assert_int_equal(hmm_ptable_lookup(t, UINT64_MAX, &shift), V | 1);
	assert_int_equal(shift, 14);
	assert_int_equal(hmm_ptable_lookup(t, (1UL << 26) - 1, &shift), V | 2);
	assert_int_equal(shift, 25);
	assert_int_equal(hmm_ptable_clear(t, 0, UINT64_MAX), 2);
	hmm_ptable_destroy(t);
}

static void bad_geometry_is_refused(void **state)
{
	struct hmm_ptable_geometry too_narrow = { 57, 12, 2, { 9, 9 } };
	struct hmm_ptable_geometry no_level = { 12, 12, 0, { 0 } };
	struct hmm_ptable_geometry too_wide = { 64, 12, 3, { 25, 18, 9 } };
	struct hmm_ptable *t = NULL;

	assert_int_equal(hmm_ptable_create(&too_narrow, &t), -EINVAL);
	assert_int_equal(hmm_ptable_create(&no_level, &t), -EINVAL);
	assert_int_equal(hmm_ptable_create(&too_wide, &t), -EINVAL);
	assert_null(t);
}

struct race {
	struct hmm_ptable *t;
	_Atomic int stop;
	_Atomic uint64_t wrong;
	_Atomic uint64_t seen;
};

static void *reader(void *arg)
{
	struct race *r = arg;
	uint64_t n = 0;

	while (!atomic_load_explicit(&r->stop, memory_order_relaxed)) {
		uint32_t shift = 0;
		uint64_t e = hmm_ptable_lookup(r->t, BASE + (n++ % 512) * PAGE, &shift);

		/* Each entry carries its size. */
		if (e && (e != (V | shift)))
			atomic_fetch_add(&r->wrong, 1);
		if (e)
			atomic_fetch_add(&r->seen, 1);
	}
	return NULL;
}

static void readers_see_whole_entries_beside_writers(void **state)
{
	struct race r = { .t = *state };
	pthread_t t;

	pthread_create(&t, NULL, reader, &r);
	for (unsigned int i = 0; i < 3000 || !atomic_load(&r.seen); i++) {
		uint64_t small[512];

		for (unsigned int k = 0; k < 512; k++)
			small[k] = V | 12;
		hmm_ptable_set(r.t, BASE, 12, small, 512);
		set1(r.t, BASE, 21, V | 21);
		hmm_ptable_clear(r.t, BASE, BASE + PAGE);
	}
	atomic_store(&r.stop, 1);
	pthread_join(t, NULL);
	assert_int_equal(r.wrong, 0);
	/* What was replaced is still there for late readers, until now. */
	assert_true(hmm_ptable_reclaim(r.t) >= 3000 * PAGE);
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_table, close_table)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(empty_table_has_nothing),
		T(each_size_is_found_with_its_size),
		T(set_leaves_zero_slots_alone),
		T(set_crosses_tables),
		T(pages_are_looked_up_together_as_one_by_one),
		T(set_refuses_what_cannot_be_an_entry),
		T(smaller_entry_replaces_larger),
		T(larger_entry_replaces_smaller),
		T(leaves_that_share_a_directory_slot_are_both_found),
		T(a_table_used_again_answers_for_its_new_address_only),
		T(a_large_entry_takes_its_tables_from_the_directory),
		T(clear_takes_exactly_the_range),
		T(clear_takes_a_larger_entry_whole),
		T(clear_of_part_of_a_page_takes_it),
		T(clear_bits_takes_only_the_bits),
		T(trim_keeps_what_sticks_out_and_marks_it),
		T(any_sees_an_entry_that_overlaps),
		T(reclaim_frees_empty_tables_once),
		T(walk_goes_in_order_and_may_change_the_table),
		T(walk_stops_when_told),
		T(machine_of_16k_pages_and_64_bits),
		T(bad_geometry_is_refused),
		T(readers_see_whole_entries_beside_writers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
