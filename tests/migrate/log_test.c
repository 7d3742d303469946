// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Pages move beside a log, a fake one here. A log tells when a discard begins and when it ends, and
 * not that it will begin: what moved in between would come back with its content.
 */
#include "common/devmem.h"
#include "common/fake_log.h"
#include "common/held_discard.h"

static struct with_devmem with;
static struct fake_log *log_open;

static int setup(void **state)
{
	log_open = fake_log_open();
	memset(&with, 0, sizeof(with));
	mirror_open(&with.m, 0);
	assert_non_null(with.m.mm->log);
	*state = &with;
	return 0;
}

static int setup_region(void **state)
{
	setup(state);
	return make_region(&with, 2 * MIB, 0, &with, &with.d);
}

static int teardown(void **state)
{
	devmem_close(*state);
	fake_log_close(log_open);
	return 0;
}

static void pages_move(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(8 * PAGE, RW);

	number(p, 8, 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(to_device(w, p, 8), 0);
		assert_int_equal(away(w, p, 8), 8);
		assert_numbered(p, 4, 1);
		assert_int_equal(away(w, p, 8), 4);
		assert_int_equal(to_system(w, p, 8), 0);
		assert_numbered(p, 8, 1);
	}
	munmap(p, 8 * PAGE);
}

/* Four pages were discarded, and the discard may not have happened yet. */
static void stay(struct with_devmem *w, char *p, struct held_discard *held)
{
	number(p, 4, 50);
	assert_int_equal(to_device(w, p, 4), -ENOENT);
	assert_int_equal(w->result.left[HMM_MIGRATE_DISCARD], 4);
	held_discard_end(held);
	for (int i = 0; i < 30000 && away(w, p, 4) < 4; i++) {
		to_device(w, p, 4);
		usleep(1000);
	}
	assert_int_equal(away(w, p, 4), 4);
	assert_numbered(p, 4, 50);
	munmap(p, 8 * PAGE);
}

static void nothing_moves_that_is_to_be_discarded(void **state)
{
	struct with_devmem *w = *state;
	struct held_discard held;
	char *p = map_anon(8 * PAGE, RW);

	number(p, 8, 1);
	assert_int_equal(to_device(w, p, 8), 0);
	held_discard_begin(&held);
	assert_int_equal(madvise(p, 4 * PAGE, MADV_DONTNEED), 0);
	stay(w, p, &held);
}

static void nor_what_was_before_there_was_device_memory(void **state)
{
	struct with_devmem *w = *state;
	struct held_discard held;
	char *p = map_anon(8 * PAGE, RW);

	number(p, 8, 1);
	assert_int_equal(fault(&w->m, p, 8, REQ_WRITE), 0);
	held_discard_begin(&held);
	assert_int_equal(madvise(p, 4 * PAGE, MADV_DONTNEED), 0);
	assert_int_equal(make_region(w, 2 * MIB, 0, w, &w->d), 0);
	stay(w, p, &held);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pages_move, setup_region, teardown),
		cmocka_unit_test_setup_teardown(nothing_moves_that_is_to_be_discarded, setup_region,
						teardown),
		cmocka_unit_test_setup_teardown(nor_what_was_before_there_was_device_memory, setup,
						teardown),
	};

	if (devmem_is_missing())
		return 77;
	setenv("LIBHMM_PROVIDER", "both", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
