// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What the pump reads and what it calls. */
#include "common/space.h"
#include "pump/steal.h"

static struct {
	_Atomic bool inside, returned, gave_up;
} stuck;

/* Until the program's call has returned. Not for ever, so that a test that fails ends. */
static int be_stuck(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
		    void *priv)
{
	if (atomic_exchange(&stuck.inside, true))
		return 0;
	for (int i = 0; i < 20000 && !stuck.returned; i++)
		sleep_ms(1);
	stuck.gave_up = !stuck.returned;
	return 0;
}

static const struct hmm_interval_notifier_ops stuck_ops = { sizeof(stuck_ops), be_stuck, NULL };

static void a_stuck_callback_does_not_hang_the_program(void **state)
{
	struct space s;
	struct hmm_mm_stats stats = { .size = sizeof(stats) };
	struct hmm_interval_notifier *ni;
	size_t page = 0;
	uint64_t seq;

	space_open(&s, 64, 0);
	assert_int_equal(
		hmm_interval_notifier_insert(s.mm, addr(&s, 0), s.bytes, &stuck_ops, NULL, &ni), 0);
	seq = hmm_interval_read_begin(s.ni);
	munmap(s.p, PAGE);
	while (!stuck.inside)
		sleep_ms(1); /* until the pump is in the callback */
	/* On a busy machine the keeper may come first. */
	while (!stats.watchdog_reads && page < 62) {
		page += 2;
		munmap(s.p + page * PAGE, PAGE);
		hmm_mm_get_stats(s.mm, &stats);
	}
	stuck.returned = true;
	assert_false(stuck.gave_up);
	assert_true(hmm_interval_stale(s.ni, seq));
	settle(&s); /* what the watchdog read was not lost */
	assert_int_equal(s.seen.events[HMM_EVENT_UNMAP], 1 + page / 2);
	/* What the keeper has read the pump tells after what the watchdog has. */
	if (!atomic_load(&s.mm->thieves[THIEF_KEEPER].head))
		assert_int_equal(s.seen.last.start, addr(&s, page));
	assert_true(stats.watchdog_reads >= 1);
	hmm_interval_notifier_remove(ni);
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
