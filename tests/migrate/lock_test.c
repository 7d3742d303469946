// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A program that locks all its memory: a region takes no memory for that, and pages move. */
#include "common/devmem.h"

#include <sys/mman.h>
#include <sys/resource.h>

#define LARGE (256 * MIB)
#define PAGES 1024
#define SLACK 2048 /* pages of the library's own, and of the allocator */

static struct with_devmem with;

static size_t resident(void)
{
	unsigned long all, here = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu", &all, &here), 2);
	fclose(f);
	return here;
}

static uint64_t used(const struct with_devmem *w)
{
	struct hmm_devmem_stats stats = { .size = sizeof(stats) };

	assert_int_equal(hmm_devmem_get_stats(w->d, &stats), 0);
	return stats.used;
}

static void goes_out_and_home(struct with_devmem *w)
{
	char *p = map_anon(PAGES * PAGE, RW);

	for (int round = 0; round < 3; round++) {
		number(p, PAGES, 1);
		assert_int_equal(to_device(w, p, PAGES), 0);
		assert_int_equal(w->result.moved, PAGES);
		assert_numbered(p, PAGES / 2, 1);
		assert_int_equal(to_system(w, p, PAGES), 0);
		assert_numbered(p, PAGES, 1);
		assert_int_equal(to_device(w, p, PAGES), 0);
		assert_int_equal(munmap(p, PAGES * PAGE), 0);
		for (int i = 0; i < 20000 && used(w); i++)
			usleep(1000);
		assert_int_equal(used(w), 0);
		p = map_anon(PAGES * PAGE, RW);
	}
	munmap(p, PAGES * PAGE);
}

enum device { MOVES, COPIES, KEEPS };

static void open_region(struct with_devmem *w, enum device device)
{
	/* What the test's device needs is locked, too: a small region. */
	if (device == MOVES)
		devmem_open(w, LARGE, 0);
	else
		devmem_open_copying(w, 2 * PAGES * PAGE, device == KEEPS ? HMM_DEVMEM_BACKED : 0,
				    0);
}

static void locked_before(enum device device)
{
	size_t before;

	assert_int_equal(mlockall(MCL_CURRENT | MCL_FUTURE), 0);
	before = resident();
	open_region(&with, device);
	if (device == MOVES)
		assert_in_range(resident(), 0, before + SLACK);
	goes_out_and_home(&with);
	if (device == MOVES)
		assert_in_range(resident(), 0, before + SLACK);
	devmem_close(&with);
	assert_int_equal(munlockall(), 0);
}

/* The kernel fills what is there at that moment. It is out of the way as soon as it is met. */
static void locked_after(enum device device)
{
	if (device == MOVES)
		devmem_open(&with, 2 * PAGES * PAGE, 0);
	else
		open_region(&with, device);
	assert_int_equal(mlockall(MCL_CURRENT | MCL_FUTURE), 0);
	goes_out_and_home(&with);
	devmem_close(&with);
	assert_int_equal(munlockall(), 0);
}

#define LOCKED(when, device)                                                                       \
	static void when##_##device(void **state)                                                  \
	{                                                                                          \
		(void)state;                                                                       \
		when(device);                                                                      \
	}

LOCKED(locked_before, MOVES)
LOCKED(locked_before, COPIES)
LOCKED(locked_before, KEEPS)
LOCKED(locked_after, MOVES)
LOCKED(locked_after, COPIES)
LOCKED(locked_after, KEEPS)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(locked_before_MOVES), cmocka_unit_test(locked_before_COPIES),
		cmocka_unit_test(locked_before_KEEPS), cmocka_unit_test(locked_after_MOVES),
		cmocka_unit_test(locked_after_COPIES), cmocka_unit_test(locked_after_KEEPS),
	};

	if (devmem_is_missing())
		return 77;
	if (mlockall(MCL_CURRENT | MCL_FUTURE)) {
		printf("this user may not lock so much memory\n");
		return 77;
	}
	munlockall();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
