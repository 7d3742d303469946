// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Guards that are armed: where a fault leads to, nested guards, and what is left alone. */
#include "common/guarded.h"

static __attribute__((noinline, no_sanitize("thread"), no_sanitize("address"))) void
touch(const char *p)
{
	(void)*(const volatile char *)p;
}

/* The address that a load of p hit, NULL for none. */
static __attribute__((noinline)) void *hit_of(const char *p, const char *range, size_t len)
{
	struct hmm_guard guard;

	if (hmm_guard_landing(&guard))
		return (void *)guard.hit;
	if (hmm_guard_arm(&guard, range, len))
		return (void *)1;
	touch(p);
	hmm_guard_disarm(&guard);
	return NULL;
}

TEST(a_fault_lands_and_tells_its_address)
{
	char *p = edge();

	for (int i = 0; i < 100; i++) {
		assert_ptr_equal(hit_of(p, p, 2 * PAGE), NULL);
		assert_ptr_equal(hit_of(p + PAGE + 7, p, 2 * PAGE), p + PAGE + 7);
	}
	edge_free(p);
}

TEST(the_signal_mask_is_as_it_was)
{
	char *p = edge();
	sigset_t want, got;

	sigemptyset(&want);
	sigaddset(&want, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &want, NULL);
	assert_ptr_equal(hit_of(p + PAGE, p, 2 * PAGE), p + PAGE);
	pthread_sigmask(SIG_SETMASK, NULL, &got);
	assert_int_equal(sigismember(&got, SIGUSR2), 1);
	assert_int_equal(sigismember(&got, SIGSEGV), 0);
	sigemptyset(&want);
	pthread_sigmask(SIG_SETMASK, &want, NULL);
	edge_free(p);
}

enum { NOWHERE, OUTER, INNER };

/* Which guard a load of p leads to: the outer over a, or the inner over b. */
static __attribute__((noinline)) int leads_to(const char *p, char *a, char *b, bool *outer_stays)
{
	struct hmm_guard outer, inner;
	volatile bool in_inner = false;

	if (hmm_guard_landing(&outer)) {
		*outer_stays = in_inner;
		return in_inner ? INNER : OUTER;
	}
	assert_int_equal(hmm_guard_arm(&outer, a, PAGE), 0);
	if (hmm_guard_landing(&inner)) {
		in_inner = true;
		touch(a);
		return INNER;
	}
	assert_int_equal(hmm_guard_arm(&inner, b, PAGE), 0);
	touch(p);
	hmm_guard_disarm(&inner);
	hmm_guard_disarm(&outer);
	return NOWHERE;
}

TEST(nested_guards_land_where_the_address_belongs)
{
	char *a = map_pages(1, PROT_NONE), *b = map_pages(1, PROT_NONE);
	char *there = map_pages(1, PROT_READ);
	bool outer_stays = false;

	assert_int_equal(leads_to(there, a, b, &outer_stays), NOWHERE);
	assert_int_equal(leads_to(a, a, b, &outer_stays), OUTER);
	assert_int_equal(leads_to(b, a, b, &outer_stays), INNER);
	assert_true(outer_stays);
	assert_int_equal(leads_to(there, a, b, &outer_stays), NOWHERE);
	munmap(a, PAGE);
	munmap(b, PAGE);
	munmap(there, PAGE);
}

TEST(a_copy_inside_a_guard_is_an_error_and_no_landing)
{
	char *p = edge();
	struct hmm_guard guard;
	char c;

	if (hmm_guard_landing(&guard))
		fail_msg("landed");
	assert_int_equal(hmm_guard_arm(&guard, p, 2 * PAGE), 0);
	assert_int_equal(hmm_copy_from_nofault(&c, p + PAGE, 1, NULL), -EFAULT);
	assert_int_equal(hmm_copy_to_nofault(p + PAGE, &c, 1, NULL), -EFAULT);
	hmm_guard_disarm(&guard);
	edge_free(p);
}

static void arm_twice(char *none)
{
	struct hmm_guard guard;
	volatile int landed = 0;

	if (hmm_guard_landing(&guard)) {
		landed++;
	} else {
		hmm_guard_arm(&guard, none, 8);
		hmm_guard_arm(&guard, none + 8, 8);
		touch(none + 8);
	}
	if (landed != 1)
		_exit(1);
	/* It landed once and is not armed any more, though it was armed twice. */
	touch(none + 8);
}

TEST(arming_again_moves_the_range)
{
	assert_killed(ending(arm_twice), SIGSEGV);
}

TEST(disarming_what_is_not_armed_leaves_the_others)
{
	char *p = edge();
	struct hmm_guard guard, other;

	memset(&other, 0, sizeof(other));
	if (hmm_guard_landing(&guard)) {
		edge_free(p);
		return;
	}
	assert_int_equal(hmm_guard_arm(&guard, p, 2 * PAGE), 0);
	hmm_guard_disarm(&other);
	touch(p + PAGE);
	fail_msg("no fault");
}

static void touch_outside(char *none)
{
	struct hmm_guard guard;

	if (hmm_guard_landing(&guard))
		_exit(1);
	hmm_guard_arm(&guard, none + 8, 8);
	touch(none + 16);
}

static void touch_after(char *none)
{
	struct hmm_guard guard;

	if (hmm_guard_landing(&guard))
		_exit(1);
	hmm_guard_arm(&guard, none, PAGE);
	hmm_guard_disarm(&guard);
	touch(none);
}

TEST(faults_of_others_kill_as_before)
{
	assert_killed(ending(touch_outside), SIGSEGV);
	assert_killed(ending(touch_after), SIGSEGV);
}

struct thread_case {
	char *p;
	bool wrong;
	pthread_t thread;
};

static void *land_often(void *arg)
{
	struct thread_case *c = arg;

	for (int i = 0; i < 2000; i++) {
		char *at = c->p + PAGE + i % 100;

		c->wrong |= hit_of(at, c->p, 2 * PAGE) != at;
	}
	return NULL;
}

TEST(threads_land_each_in_their_own)
{
	struct thread_case cases[4] = { { 0 } };

	for (int i = 0; i < 4; i++) {
		cases[i].p = edge();
		pthread_create(&cases[i].thread, NULL, land_often, &cases[i]);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(cases[i].thread, NULL);
		assert_false(cases[i].wrong);
		edge_free(cases[i].p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fault_lands_and_tells_its_address),
		cmocka_unit_test(the_signal_mask_is_as_it_was),
		cmocka_unit_test(nested_guards_land_where_the_address_belongs),
		cmocka_unit_test(a_copy_inside_a_guard_is_an_error_and_no_landing),
		cmocka_unit_test(arming_again_moves_the_range),
		cmocka_unit_test(disarming_what_is_not_armed_leaves_the_others),
		cmocka_unit_test(faults_of_others_kill_as_before),
		cmocka_unit_test(threads_land_each_in_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
