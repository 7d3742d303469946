// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Exclusive access: a device has pages for itself until the CPU touches them. */
#include "common/hammer.h"

static struct with_devmem with;
static char me; /* the device */

static int setup(void **state)
{
	devmem_open(&with, 2 * MIB, 0);
	*state = &with;
	return 0;
}

static int teardown(void **state)
{
	devmem_close(*state);
	return 0;
}

static struct hmm_exclusive *take(struct with_devmem *w, const char *p, size_t pages)
{
	struct hmm_exclusive *ex = NULL;

	assert_int_equal(
		hmm_exclusive_begin(w->m.mm, at(p), at(p) + pages * PAGE, &me, HMM_FOREVER, &ex),
		0);
	assert_non_null(ex);
	return ex;
}

static unsigned int *reach(struct hmm_exclusive *ex, const char *p)
{
	uint64_t where = 0;

	assert_int_equal(hmm_exclusive_check(ex, at(p), &where), 0);
	return (unsigned int *)(uintptr_t)where;
}

static void bad_calls_are_refused(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(4 * PAGE, RW);
	struct hmm_exclusive *ex;

	assert_int_equal(hmm_exclusive_begin(w->m.mm, at(p), at(p) + PAGE, NULL, 0, &ex), -EINVAL);
	assert_int_equal(hmm_exclusive_begin(w->m.mm, at(p) + 1, at(p) + PAGE, &me, 0, &ex),
			 -EINVAL);
	assert_int_equal(hmm_exclusive_begin(w->m.mm, at(p), at(p), &me, 0, &ex), -EINVAL);
	munmap(p + PAGE, PAGE);
	assert_int_equal(hmm_exclusive_begin(w->m.mm, at(p), at(p) + 2 * PAGE, &me, 0, &ex),
			 -EINVAL);
	ex = take(w, p, 1);
	assert_int_equal(hmm_exclusive_check(ex, at(p) + PAGE, NULL), -EINVAL);
	assert_int_equal(hmm_exclusive_check(ex, at(p) - 1, NULL), -EINVAL);
	hmm_exclusive_end(ex);
	hmm_exclusive_end(NULL);
	munmap(p, 4 * PAGE);
}

static void a_touch_revokes_one_page(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(4 * PAGE, RW);
	struct hmm_exclusive *ex;

	number(p, 4, 1);
	ex = take(w, p, 4);
	for (size_t i = 0; i < 4; i++)
		*reach(ex, p + i * PAGE) += 10;
	assert_int_equal(*(volatile unsigned int *)(p + PAGE), 12);
	assert_int_equal(hmm_exclusive_check(ex, at(p) + PAGE, NULL), -ESTALE);
	assert_int_equal(hmm_exclusive_check(ex, at(p) + 2 * PAGE, NULL), 0);
	assert_int_equal(away(w, p, 4), 0); /* it is nobody's region */
	hmm_exclusive_end(ex);
	assert_numbered(p, 4, 11);
	munmap(p, 4 * PAGE);
}

static void several_ranges_of_any_length_are_had_at_once(void **state)
{
	static const size_t pages[] = { 1, 2, 255, 256, 257, 600 };
	const size_t n = sizeof(pages) / sizeof(pages[0]);
	struct with_devmem *w = *state;
	struct hmm_exclusive *ex[6];
	char *p[6];

	for (size_t k = 0; k < n; k++) {
		p[k] = map_anon(pages[k] * PAGE, RW);
		number(p[k], pages[k], 1);
		ex[k] = take(w, p[k], pages[k]);
	}
	for (size_t k = 0; k < n; k++) {
		for (size_t i = 0; i < pages[k]; i++)
			*reach(ex[k], p[k] + i * PAGE) += 10;
		assert_int_equal(hmm_exclusive_check(ex[k], at(p[k]) + pages[k] * PAGE, NULL),
				 -EINVAL);
	}
	for (size_t k = 0; k < n; k++) {
		hmm_exclusive_end(ex[k]);
		assert_numbered(p[k], pages[k], 11);
		munmap(p[k], pages[k] * PAGE);
	}
}

static void others_are_told(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(2 * PAGE, RW);
	struct hmm_exclusive *ex;

	number(p, 2, 1);
	assert_int_equal(fault(&w->m, p, 2, REQ_WRITE), 0);
	w->m.events[HMM_EVENT_EXCLUSIVE] = 0;
	ex = take(w, p, 2);
	assert_int_equal(w->m.events[HMM_EVENT_EXCLUSIVE], 1);
	/* another device that wants it has it, and this one has lost it */
	assert_int_equal(fault(&w->m, p, 2, REQ_WRITE), 0);
	assert_true(w->m.events[HMM_EVENT_EXCLUSIVE] >= 2);
	assert_int_equal(hmm_exclusive_check(ex, at(p), NULL), -ESTALE);
	hmm_exclusive_end(ex);
	assert_numbered(p, 2, 1);
	munmap(p, 2 * PAGE);
}

static void the_second_taker_wins(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(2 * PAGE, RW);
	struct hmm_exclusive *first;
	struct hmm_exclusive *second;

	number(p, 2, 1);
	first = take(w, p, 2);
	second = take(w, p + PAGE, 1);
	assert_int_equal(hmm_exclusive_check(first, at(p), NULL), 0);
	assert_int_equal(hmm_exclusive_check(first, at(p) + PAGE, NULL), -ESTALE);
	hmm_exclusive_end(first);
	assert_int_equal(hmm_exclusive_check(second, at(p) + PAGE, NULL), 0);
	*reach(second, p + PAGE) = 2;
	hmm_exclusive_end(second);
	assert_numbered(p, 2, 1);
	munmap(p, 2 * PAGE);
}

static void what_cannot_be_had_is_said(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(2 * PAGE, RW);
	struct hmm_exclusive *ex;

	number(p, 2, 1);
	assert_int_equal(mprotect(p, PAGE, PROT_READ), 0);
	ex = take(w, p, 2);
	assert_int_equal(hmm_exclusive_check(ex, at(p), NULL), -EBUSY);
	assert_int_equal(hmm_exclusive_check(ex, at(p) + PAGE, NULL), 0);
	hmm_exclusive_end(ex);
	munmap(p, 2 * PAGE);
}

static int try(struct with_devmem *w, const char *p)
{
	struct hmm_exclusive *ex = NULL;
	const int ret = hmm_exclusive_begin(w->m.mm, at(p), at(p) + PAGE, &me, HMM_FOREVER, &ex);

	hmm_exclusive_end(ex);
	return ret;
}

/* The second time a mapping is not looked up, unless it has changed. */
static void what_was_known_may_have_changed(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(4 * PAGE, RW);

	number(p, 4, 1);
	assert_int_equal(try(w, p), 0);
	assert_int_equal(try(w, p + PAGE), 0);
	assert_int_equal(mprotect(p, PAGE, PROT_READ), 0);
	assert_int_equal(try(w, p), -EBUSY);
	assert_int_equal(mprotect(p, PAGE, PROT_NONE), 0);
	assert_int_equal(try(w, p), -EINVAL);
	assert_int_equal(try(w, p + PAGE), 0);
	munmap(p, PAGE);
	assert_int_equal(try(w, p), -EINVAL);
	assert_int_equal(try(w, p + PAGE), 0);
	assert_ptr_equal(mmap(p + PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 p + PAGE);
	number(p + PAGE, 1, 7);
	assert_int_equal(try(w, p + PAGE), 0);
	assert_numbered(p + PAGE, 1, 7);
	assert_numbered(p + 2 * PAGE, 2, 3);
	munmap(p + PAGE, 3 * PAGE);
}

static void changes_of_the_memory_revoke(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(4 * PAGE, RW);
	char *to = map_anon(PAGE, RW);
	/* not where the discard may be pending still */
	char *next = map_anon(PAGE, RW);
	struct hmm_exclusive *ex;

	number(p, 4, 1);
	ex = take(w, p, 4);
	assert_int_equal(madvise(p, PAGE, MADV_DONTNEED), 0);
	munmap(p + 3 * PAGE, PAGE);
	assert_int_equal(hmm_mm_barrier(w->m.mm, HMM_FOREVER), 0);
	assert_int_equal(hmm_exclusive_check(ex, at(p), NULL), -ESTALE);
	assert_int_equal(hmm_exclusive_check(ex, at(p) + PAGE, NULL), 0);
	assert_int_equal(hmm_exclusive_check(ex, at(p) + 3 * PAGE, NULL), -ESTALE);
	hmm_exclusive_end(ex);
	assert_numbered(p + PAGE, 2, 2);
	munmap(p, 3 * PAGE);
	p = next;
	number(p, 1, 7);
	ex = take(w, p, 1);
	assert_ptr_equal(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
	assert_int_equal(hmm_mm_barrier(w->m.mm, HMM_FOREVER), 0);
	assert_int_equal(hmm_exclusive_check(ex, at(p), NULL), -ESTALE);
	hmm_exclusive_end(ex);
	assert_numbered(to, 1, 7);
	munmap(to, PAGE);
}

static void a_fork_gives_both_sides_their_own(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(PAGE, RW);
	struct hmm_exclusive *ex;
	pid_t pid;

	number(p, 1, 1);
	ex = take(w, p, 1);
	*reach(ex, p) = 5;
	pid = fork();
	if (!pid) {
		if (*(unsigned int *)p != 5 || hmm_exclusive_check(ex, at(p), NULL) != -ESRCH)
			_exit(1);
		++*(unsigned int *)p;
		_exit(*(unsigned int *)p == 6 ? 0 : 2);
	}
	assert_int_equal(status_of(pid), 0);
	assert_int_equal(hmm_exclusive_check(ex, at(p), NULL), -ESTALE);
	hmm_exclusive_end(ex);
	assert_numbered(p, 1, 5);
	munmap(p, PAGE);
}

static void no_update_is_lost(void **state)
{
	char *page = map_anon(PAGE, RW);

	hammer_page(*state, page, 20000);
	munmap(page, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bad_calls_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_touch_revokes_one_page, setup, teardown),
		cmocka_unit_test_setup_teardown(several_ranges_of_any_length_are_had_at_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(others_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(the_second_taker_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_had_is_said, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_known_may_have_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(changes_of_the_memory_revoke, setup, teardown),
		cmocka_unit_test_setup_teardown(a_fork_gives_both_sides_their_own, setup, teardown),
		cmocka_unit_test_setup_teardown(no_update_is_lost, setup, teardown),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
