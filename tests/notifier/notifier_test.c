// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The notifiers' contract and validated use. */
#include "common/space.h"
#include "common/stands.h"
#include "notifier/notifier.h"

#include <errno.h>

static void bad_arguments_are_refused(void **state)
{
	struct space s;
	struct hmm_interval_notifier *ni;
	struct hmm_invalidation empty = { .start = 5, .end = 5 };

	space_open(&s, 4, 0);
	assert_int_equal(hmm_interval_notifier_insert(s.mm, 4096, 0, &on_ops, NULL, &ni), -EINVAL);
	assert_int_equal(hmm_interval_notifier_insert(s.mm, UINT64_MAX, 2, &on_ops, NULL, &ni),
			 -EINVAL);
	assert_int_equal(hmm_interval_notifier_insert(s.mm, 4096, 4096, NULL, NULL, &ni), -EINVAL);
	assert_int_equal(hmm_interval_invalidate(s.mm, &empty), -EINVAL);
	assert_int_equal(hmm_mm_note(s.mm, HMM_NOTE_PROTECT, 8192, 4096), -EINVAL);
	assert_int_equal(hmm_mm_note(s.mm, (enum hmm_note)99, 0, 4096), -EINVAL);
	space_close(&s);
}

static void munmap_invalidates_before_it_is_valid_again(void **state)
{
	struct space s;
	uint64_t seq;

	space_open(&s, 8, 0);
	seq = hmm_interval_read_begin(s.ni);
	assert_false(hmm_interval_stale(s.ni, seq));
	munmap(s.p, PAGE);
	assert_true(hmm_interval_stale(s.ni, seq));
	settle(&s);
	assert_int_equal(s.seen.calls, 1);
	assert_int_equal(s.seen.events[HMM_EVENT_UNMAP], 1);
	assert_int_equal(s.seen.last.start, addr(&s, 0));
	assert_int_equal(s.seen.last.end, addr(&s, 1));
	assert_true(hmm_interval_read_retry(s.ni, seq));
	assert_true(stands(s.ni, hmm_interval_read_begin(s.ni)));
	space_close(&s);
}

/* Of a part of the notifier's interval, as a fault asks. */
static void a_change_of_another_part_is_no_change(void **state)
{
	struct space s;
	uint64_t seq;
	uint64_t old;

	space_open(&s, 8, 0);
	old = seq = hmm_interval_read_begin(s.ni);
	munmap(s.p, PAGE);
	settle(&s);
	assert_true(ni_unchanged(s.ni, addr(&s, 1), addr(&s, 8), &seq));
	assert_int_not_equal(seq, old);
	assert_true(stands(s.ni, seq));
	seq = old;
	assert_false(ni_unchanged(s.ni, addr(&s, 0), addr(&s, 8), &seq));
	assert_int_equal(seq, old);
	munmap(s.p + 7 * PAGE, PAGE);
	settle(&s);
	assert_true(ni_unchanged(s.ni, addr(&s, 1), addr(&s, 7), &seq));
	seq = old;
	assert_false(ni_unchanged(s.ni, addr(&s, 6), addr(&s, 8), &seq));
	space_close(&s);
}

/* What is long ago may have been here. */
static void too_many_changes_are_a_change(void **state)
{
	struct hmm_invalidation elsewhere = { .event = HMM_EVENT_CLEAR };
	struct space s;
	uint64_t seq;
	uint64_t old;

	space_open(&s, 8, 0);
	elsewhere.start = addr(&s, 0);
	elsewhere.end = addr(&s, 1);
	old = seq = hmm_interval_read_begin(s.ni);
	for (int i = 0; i < RECENT_MAX; i++)
		assert_int_equal(hmm_interval_invalidate(s.mm, &elsewhere), 0);
	assert_true(ni_unchanged(s.ni, addr(&s, 1), addr(&s, 8), &seq));
	assert_int_equal(hmm_interval_invalidate(s.mm, &elsewhere), 0);
	seq = old;
	assert_false(ni_unchanged(s.ni, addr(&s, 1), addr(&s, 8), &seq));
	space_close(&s);
}

static void an_event_elsewhere_leaves_a_notifier_alone(void **state)
{
	struct space s;
	struct seen seen = { 0 };
	struct hmm_interval_notifier *other;
	uint64_t seq;

	space_open(&s, 8, 0);
	assert_int_equal(
		hmm_interval_notifier_insert(s.mm, addr(&s, 4), 4 * PAGE, &on_ops, &seen, &other),
		0);
	seq = hmm_interval_read_begin(other);
	munmap(s.p, 2 * PAGE);
	settle(&s);
	assert_int_equal(s.seen.calls, 1);
	assert_int_equal(seen.calls, 0);
	assert_true(stands(other, seq));
	hmm_interval_notifier_remove(other);
	space_close(&s);
}

static void nested_notifiers_are_all_called(void **state)
{
	struct space s;
	struct seen seen[3] = { 0 };
	struct hmm_interval_notifier *ni[3];

	space_open(&s, 8, 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(hmm_interval_notifier_insert(s.mm, addr(&s, i), (8 - 2 * i) * PAGE,
							      &on_ops, &seen[i], &ni[i]),
				 0);
	munmap(s.p + 3 * PAGE, PAGE);
	settle(&s);
	assert_int_equal(s.seen.calls + seen[0].calls + seen[1].calls + seen[2].calls, 4);
	for (size_t i = 0; i < 3; i++)
		hmm_interval_notifier_remove(ni[i]);
	space_close(&s);
}

static void no_callback_after_remove(void **state)
{
	struct space s;
	struct seen seen = { 0 };
	struct hmm_interval_notifier *ni;

	space_open(&s, 64, 0);
	for (size_t i = 0; i < 64; i++) {
		int calls;

		assert_int_equal(hmm_interval_notifier_insert(s.mm, addr(&s, 0), s.bytes, &on_ops,
							      &seen, &ni),
				 0);
		munmap(s.p + i * PAGE, PAGE);
		hmm_interval_notifier_remove(ni);
		calls = seen.calls;
		settle(&s);
		assert_int_equal(seen.calls, calls);
	}
	space_close(&s);
}

static void a_sequence_of_a_former_notifier_never_fits(void **state)
{
	struct space s;
	struct seen seen = { 0 };
	struct hmm_interval_notifier *ni;
	uint64_t seq;

	space_open(&s, 4, 0);
	assert_int_equal(hmm_interval_notifier_insert(s.mm, addr(&s, 0), PAGE, &on_ops, &seen, &ni),
			 0);
	seq = hmm_interval_read_begin(ni);
	hmm_interval_notifier_remove(ni);
	assert_int_equal(hmm_interval_notifier_insert(s.mm, addr(&s, 0), PAGE, &on_ops, &seen, &ni),
			 0);
	assert_true(hmm_interval_stale(ni, seq));
	hmm_interval_notifier_remove(ni);
	space_close(&s);
}

static void an_event_carries_its_owner(void **state)
{
	struct space s;
	struct hmm_invalidation inv;

	space_open(&s, 4, 0);
	inv = (struct hmm_invalidation){ addr(&s, 1), addr(&s, 2), HMM_EVENT_MIGRATE, 0, &s, 0, 0 };
	assert_int_equal(hmm_interval_invalidate(s.mm, &inv), 0);
	assert_int_equal(s.seen.events[HMM_EVENT_MIGRATE], 1);
	assert_ptr_equal(s.seen.last.owner, &s);
	space_close(&s);
}

static void a_note_is_synchronous(void **state)
{
	struct space s;
	uint64_t seq;

	space_open(&s, 4, 0);
	seq = hmm_interval_read_begin(s.ni);
	mprotect(s.p, PAGE, PROT_READ);
	assert_int_equal(s.seen.calls, 0); /* no event for it */
	assert_int_equal(hmm_mm_note(s.mm, HMM_NOTE_PROTECT, addr(&s, 0), addr(&s, 1)), 0);
	assert_int_equal(s.seen.events[HMM_EVENT_PROTECT], 1);
	assert_true(hmm_interval_stale(s.ni, seq));
	assert_int_equal(hmm_mm_note(NULL, HMM_NOTE_TRUNCATE, addr(&s, 0), addr(&s, 1)), 0);
	assert_int_equal(s.seen.events[HMM_EVENT_CLEAR], 1);
	space_close(&s);
}

static void detach_releases_and_outlives_nothing_but_handles(void **state)
{
	struct space s;
	struct hmm_interval_notifier *ni;

	space_open(&s, 4, 0);
	hmm_mm_detach(s.mm);
	assert_int_equal(s.seen.events[HMM_EVENT_RELEASE], 1);
	assert_true(hmm_interval_stale(s.ni, 1));
	assert_int_equal(hmm_interval_notifier_insert(s.mm, 4096, 4096, &on_ops, NULL, &ni),
			 -ESRCH);
	hmm_interval_notifier_remove(s.ni);
	munmap(s.p, s.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_arguments_are_refused),
		cmocka_unit_test(munmap_invalidates_before_it_is_valid_again),
		cmocka_unit_test(a_change_of_another_part_is_no_change),
		cmocka_unit_test(too_many_changes_are_a_change),
		cmocka_unit_test(an_event_elsewhere_leaves_a_notifier_alone),
		cmocka_unit_test(nested_notifiers_are_all_called),
		cmocka_unit_test(no_callback_after_remove),
		cmocka_unit_test(a_sequence_of_a_former_notifier_never_fits),
		cmocka_unit_test(an_event_carries_its_owner),
		cmocka_unit_test(a_note_is_synchronous),
		cmocka_unit_test(detach_releases_and_outlives_nothing_but_handles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
