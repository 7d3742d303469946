// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A device that keeps pages (-EACCES of copy_out): a touch is SIGBUS, and nothing is lost. */
#include "common/child.h"
#include "common/devmem.h"
#include "common/sigbus.h"

#define PAGES 1024

static struct with_devmem with;

static int setup(void **state)
{
	devmem_open_copying(&with, REGION, 0, 0);
	*state = &with;
	return 0;
}

static int teardown(void **state)
{
	devmem_close(*state);
	return 0;
}

static char *map_block(size_t pages)
{
	char *p = map_anon((pages + 512) * PAGE, RW);
	char *aligned = (char *)(((uintptr_t)p + 2 * MIB - 1) & ~(2 * MIB - 1));

	munmap(p, (size_t)(aligned - p));
	munmap(aligned + pages * PAGE, (size_t)(p + 512 * PAGE - aligned));
	return aligned;
}

static char *pages_on_device(struct with_devmem *w, size_t pages)
{
	char *p = map_block(pages);

	number(p, pages, 1);
	assert_int_equal(to_device(w, p, pages), 0);
	assert_int_equal(away(w, p, pages), pages);
	return p;
}

static uint64_t lost(struct with_devmem *w)
{
	struct hmm_devmem_stats s = { .size = sizeof(s) };

	assert_int_equal(hmm_devmem_get_stats(w->d, &s), 0);
	return s.lost;
}

static void a_touched_page_stays_and_comes_home_later(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, PAGES);

	w->copying.kept = REGION;
	assert_true(is_sigbus(p + 7 * PAGE));
	assert_true(is_sigbus(p + 7 * PAGE));
	assert_true(is_sigbus(p + 8 * PAGE));
	/* What was asked for together with the page is not seen for a moment. */
	for (int i = 0; away(w, p, PAGES) < PAGES && i < 10000; i++)
		usleep(1000);
	assert_int_equal(away(w, p, PAGES), PAGES);
	*(unsigned int *)on_device(w, 7) += 100;
	w->copying.kept = 0;
	assert_int_equal(to_system(w, p, PAGES), 0);
	assert_numbered(p, 7, 1);
	assert_int_equal(*(unsigned int *)(p + 7 * PAGE), 108);
	assert_numbered(p + 8 * PAGE, PAGES - 8, 9);
	assert_int_equal(lost(w), 0);
	munmap(p, PAGES * PAGE);
}

static void a_mover_brings_the_others(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, 64);

	away(w, p, 64);
	w->copying.kept = 3 * PAGE;
	w->copying.kept += (uint64_t)(on_device(w, 0) - w->copying.memory);
	assert_int_equal(to_system(w, p, 64), -EIO);
	assert_int_equal(away(w, p, 64), 3);
	assert_numbered(p + 3 * PAGE, 61, 4);
	assert_true(is_sigbus(p));
	w->copying.kept = 0;
	/* A touch that comes first finds it at home as well. */
	assert_false(is_sigbus(p + PAGE));
	assert_int_equal(to_system(w, p, 64), 0);
	assert_numbered(p, 64, 1);
	munmap(p, 64 * PAGE);
}

static void a_touched_page_can_be_dropped(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, 64);

	w->copying.kept = REGION;
	assert_true(is_sigbus(p));
	assert_int_equal(madvise(p, PAGE, MADV_DONTNEED), 0);
	assert_int_equal(*p, 0);
	assert_int_equal(away(w, p, 64), 63);
	munmap(p, 64 * PAGE);
	w->copying.kept = 0;
}

static void a_touched_page_moves_with_its_mapping(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, 64);
	char *q;

	w->copying.kept = REGION;
	assert_true(is_sigbus(p));
	q = mremap(p, 64 * PAGE, 64 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, map_block(64));
	assert_true(q != MAP_FAILED);
	assert_true(is_sigbus(q));
	w->copying.kept = 0;
	assert_int_equal(to_system(w, q, 64), 0);
	assert_numbered(q, 64, 1);
	munmap(q, 64 * PAGE);
}

static void what_is_kept_is_lost_with_the_device(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, 64);

	w->copying.kept = REGION;
	assert_true(is_sigbus(p));
	assert_int_equal(hmm_devmem_lose(w->d), 0);
	assert_true(is_sigbus(p));
	assert_true(is_sigbus(p + PAGE));
	assert_int_equal(to_system(w, p, 64), 0);
	assert_int_equal(away(w, p, 64), 0);
	assert_int_equal(lost(w), 64 * PAGE);
	munmap(p, 64 * PAGE);
}

static void a_child_does_not_see_what_is_kept(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, 64);
	int status;
	pid_t pid;

	w->copying.kept = REGION;
	assert_true(is_sigbus(p));
	pid = fork();
	if (pid == 0)
		_exit(!is_sigbus(p) + 2 * !is_sigbus(p + PAGE));
	/* Where nobody tells of the child it reads zeros. */
	status = status_of(pid);
	if (w->m.mm->provider.event_fork)
		assert_int_equal(status, 0);
	w->copying.kept = 0;
	assert_int_equal(to_system(w, p, 64), 0);
	assert_numbered(p, 64, 1);
	munmap(p, 64 * PAGE);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_touched_page_stays_and_comes_home_later),
		T(a_mover_brings_the_others),
		T(a_touched_page_can_be_dropped),
		T(a_touched_page_moves_with_its_mapping),
		T(what_is_kept_is_lost_with_the_device),
		T(a_child_does_not_see_what_is_kept),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
