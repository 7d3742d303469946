// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What the pump reads and what it calls. */
#include "common/space.h"
#include "base/deadline.h"

static void a_stuck_callback_does_not_hang_the_program(void **state)
{
	struct space s;
	struct hmm_mm_stats stats = { .size = sizeof(stats) };
	uint64_t seq;
	uint64_t began;

	space_open(&s, 8, 0);
	seq = hmm_interval_read_begin(s.ni);
	s.seen.sleep_ms = 2000;
	munmap(s.p, PAGE);
	for (int i = 0; i < 5000 && !s.seen.calls; i++)
		sleep_ms(1); /* until the pump is in the callback */
	s.seen.sleep_ms = 0;
	began = clock_ns();
	munmap(s.p + 2 * PAGE, PAGE);
	assert_true(clock_ns() - began < 1500000000);
	assert_false(hmm_interval_valid(s.ni, seq));
	settle(&s); /* what the watchdog read was not lost */
	assert_int_equal(s.seen.events[HMM_EVENT_UNMAP], 2);
	assert_int_equal(s.seen.last.start, addr(&s, 2));
	hmm_mm_get_stats(s.mm, &stats);
	assert_true(stats.watchdog_reads >= 1);
	space_close(&s);
}

static void a_move_invalidates_both_ends(void **state)
{
	struct space s;
	struct seen seen = { 0 };
	struct hmm_interval_notifier *to;
	char *dst;

	space_open(&s, 4, 0);
	dst = mmap(NULL, s.bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(hmm_interval_notifier_insert(s.mm, (uint64_t)(uintptr_t)dst, s.bytes,
						      &on_ops, &seen, &to),
			 0);
	assert_ptr_equal(mremap(s.p, s.bytes, s.bytes, MREMAP_MAYMOVE | MREMAP_FIXED, dst), dst);
	settle(&s);
	assert_int_equal(s.seen.events[HMM_EVENT_MOVE], 1);
	assert_int_equal(s.seen.events[HMM_EVENT_UNMAP], 1);
	assert_int_equal(seen.events[HMM_EVENT_MOVE], 1);
	assert_false(
		region_covers(s.mm, (uint64_t)(uintptr_t)dst, (uint64_t)(uintptr_t)dst + PAGE, 0));
	hmm_interval_notifier_remove(to);
	s.p = dst;
	space_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stuck_callback_does_not_hang_the_program),
		cmocka_unit_test(a_move_invalidates_both_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
