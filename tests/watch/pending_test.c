// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A discard is pending until its thread is elsewhere or tells of it; others stay pending. */
#include "common/child.h"
#include "common/held_discard.h"
#include "common/space.h"
#include "watch/discard.h"

#include <pthread.h>
#include <sched.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#define UNLESS_SANITIZED __attribute__((unused))
#else
#define SANITIZED 0
#define UNLESS_SANITIZED
#endif

static void *discard_then_sleep(void *arg)
{
	struct space *s = arg;

	madvise(s->p, PAGE, MADV_DONTNEED);
	sleep_ms(1000);
	return NULL;
}

static void a_discard_is_seen_and_is_settled_when_its_thread_is_elsewhere(void **state)
{
	struct space s;
	struct hmm_mm_stats stats = { .size = sizeof(stats) };
	pthread_t app;
	int rounds = 0;

	space_open(&s, 4, 0);
	pthread_create(&app, NULL, discard_then_sleep, &s);
	while (!s.seen.events[HMM_EVENT_CLEAR])
		sched_yield();
	while (discard_pending(s.mm, addr(&s, 0), addr(&s, 1)) && rounds++ < 20000)
		sleep_ms(1);
	assert_false(discard_pending(s.mm, addr(&s, 0), addr(&s, 1)));
	pthread_join(app, NULL);
	hmm_mm_get_stats(s.mm, &stats);
	assert_int_equal(stats.discards_pending, 1);
	assert_int_equal(stats.discards_settled, 1);
	space_close(&s);
}

/* A thread that was joined is on its way out of the kernel for a little longer. */
static bool settles(struct space *s, size_t page)
{
	for (int i = 0; i < 20000 && discard_pending(s->mm, addr(s, page), addr(s, page + 1)); i++)
		sleep_ms(1);
	return !discard_pending(s->mm, addr(s, page), addr(s, page + 1));
}

static void a_thread_in_the_middle_of_a_discard_keeps_all_pending(void **state)
{
	struct held_discard held;
	struct space s;
	int was_pending = 0;

	space_open(&s, 4, 0);
	held_discard_begin(&held);
	madvise(s.p, PAGE, MADV_DONTNEED);
	settle(&s);
	for (int i = 0; i < 50; i++) {
		was_pending += discard_pending(s.mm, addr(&s, 0), addr(&s, 1));
		sleep_ms(1);
	}
	assert_int_equal(was_pending, 50);
	assert_false(discard_pending(s.mm, addr(&s, 1), addr(&s, 4))); /* only that page */
	held_discard_end(&held);
	assert_true(settles(&s, 0)); /* an exited thread is no suspect */
	space_close(&s);
}

static void a_note_settles_a_discard(void **state)
{
	struct held_discard held;
	struct space s;

	space_open(&s, 4, 0);
	held_discard_begin(&held);
	madvise(s.p, PAGE, MADV_DONTNEED);
	settle(&s);
	assert_int_equal(hmm_mm_note(s.mm, HMM_NOTE_DISCARD, addr(&s, 0), addr(&s, 1)), 0);
	assert_false(discard_pending(s.mm, addr(&s, 0), addr(&s, 1)));
	held_discard_end(&held);
	space_close(&s);
}

/* A thread that tells of its own discard knows nothing of those of others. */
static void a_note_of_ones_own_discard_leaves_others_pending(void **state)
{
	struct held_discard held;
	unsigned int left = 1;
	struct space s;

	space_open(&s, 4, 0);
	held_discard_begin(&held);
	madvise(s.p, PAGE, MADV_DONTNEED);
	settle(&s);
	assert_int_equal(hmm_mm_note(s.mm, HMM_NOTE_OWN_DISCARD, addr(&s, 0), addr(&s, 1)), 0);
	assert_true(discard_pending(s.mm, addr(&s, 0), addr(&s, 1)));
	held_discard_end(&held);
	assert_true(settles(&s, 0));
	/*
	 * Alone, it settles the discard, though it runs. It is not alone while a sanitizer's thread
	 * runs, or the other one is still on its way out of the kernel.
	 */
	for (int i = 0; i < 5 && left; i++) {
		madvise(s.p, PAGE, MADV_DONTNEED);
		settle(&s);
		assert_int_equal(hmm_mm_note(s.mm, HMM_NOTE_OWN_DISCARD, addr(&s, 0), addr(&s, 1)),
				 0);
		left = atomic_load(&s.mm->discards.n);
		assert_true(!left || settles(&s, 0));
	}
	assert_int_equal(left, 0);
	space_close(&s);
}

static void memory_between_discards_has_no_pending_discard(void **state)
{
	struct held_discard held;
	struct space s;

	space_open(&s, 600, 0);
	held_discard_begin(&held);
	for (size_t i = 0; i < 600; i += 2)
		madvise(s.p + i * PAGE, PAGE, MADV_DONTNEED);
	settle(&s);
	for (size_t i = 0; i < 600; i++)
		assert_int_equal(discard_pending(s.mm, addr(&s, i), addr(&s, i + 1)), i % 2 == 0);
	held_discard_end(&held);
	assert_true(settles(&s, 0));
	space_close(&s);
}

static void discards_without_room_are_merged_not_lost(void **state)
{
	struct held_discard held;
	struct space s;

	space_open(&s, 4, 0);
	held_discard_begin(&held);
	/* As if events had been read; the second half has no room. */
	for (uint64_t i = 0; i < 2 * DISCARDS_MAX; i++)
		discard_add(s.mm, PAGE + 2 * i * PAGE, PAGE + (2 * i + 1) * PAGE);
	assert_int_equal(atomic_load(&s.mm->discards.n), DISCARDS_MAX);
	for (uint64_t i = 0; i < 2 * DISCARDS_MAX; i += 97)
		assert_true(discard_pending(s.mm, PAGE + 2 * i * PAGE, PAGE + (2 * i + 1) * PAGE));
	held_discard_end(&held);
	/* A slow machine settles some at a time. */
	for (int i = 0; i < 20000 && discard_pending(s.mm, 0, UINT64_MAX); i++)
		sleep_ms(1);
	assert_int_equal(atomic_load(&s.mm->discards.n), 0);
	space_close(&s);
}

static char other_stack[64 << 10] __attribute__((aligned(16)));

static int ask_about_discard(void *arg)
{
	struct space *s = arg;

	s->seen.sleep_ms = discard_pending(s->mm, addr(s, 0), addr(s, 1));
	return 0;
}

/* It sees only its own threads, of which none discards; one of the others does. */
UNLESS_SANITIZED static void a_process_that_shares_the_memory_settles_no_discard(void **state)
{
	struct held_discard held;
	struct space s;
	pid_t pid;

	space_open(&s, 4, 0);
	/* Nor does the pump settle it meanwhile. */
	held_discard_begin(&held);
	discard_add(s.mm, addr(&s, 0), addr(&s, 1));
	pid = clone(ask_about_discard, other_stack + sizeof(other_stack), CLONE_VM | SIGCHLD, &s);
	assert_true(pid > 0);
	assert_int_equal(status_of(pid), 0);
	assert_int_equal(s.seen.sleep_ms, 1);
	s.seen.sleep_ms = 0;
	held_discard_end(&held);
	assert_true(settles(&s, 0));
	space_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_discard_is_seen_and_is_settled_when_its_thread_is_elsewhere),
		cmocka_unit_test(a_thread_in_the_middle_of_a_discard_keeps_all_pending),
		cmocka_unit_test(a_note_settles_a_discard),
		cmocka_unit_test(a_note_of_ones_own_discard_leaves_others_pending),
		cmocka_unit_test(memory_between_discards_has_no_pending_discard),
		cmocka_unit_test(discards_without_room_are_merged_not_lost),
#if !SANITIZED /* a process that shares the memory is beyond sanitizers */
		cmocka_unit_test(a_process_that_shares_the_memory_settles_no_discard),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
