// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Rule 12: the sequence is refreshed inside the call; the deadline is an argument, 0 is for ever,
 * and work that comes further is never cut. Collisions are made to order: two functions of the
 * library are linked to stand-ins that change something between the steps of an attempt.
 *
 *	attempt: fault | begin: sequence | snapshot | retry? -> again or done
 *	              ^ between()                    ^ collide()
 */
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "common/broken.h"
#include "space/space.h"
#include "base/deadline.h"
#include <hmm/hmm.h>

#define PAGE 4096UL
#define PAGES 64
#define RW (PROT_READ | PROT_WRITE)
#define MS 1000000ULL
#define TIMEOUT (20 * MS)
#define AMPLE (2000 * MS) /* where a busy machine must not make it pass */
#define STEPS 12U         /* of a walk that comes further each time */

static struct {
	struct hmm_mm *mm;
	struct hmm_interval_notifier *ni;
	struct hmm_range range;
	uint64_t pfns[PAGES];
	char *p;
	unsigned int attempts;
	void (*between)(void);
	bool (*collide)(void);
} t;

int __real_ni_read_begin(struct hmm_interval_notifier *ni, uint64_t deadline, uint64_t *seq);
int __wrap_ni_read_begin(struct hmm_interval_notifier *ni, uint64_t deadline, uint64_t *seq);
bool __real_hmm_interval_read_retry(struct hmm_interval_notifier *ni, uint64_t seq);
bool __wrap_hmm_interval_read_retry(struct hmm_interval_notifier *ni, uint64_t seq);

static _Thread_local bool inside; /* hooks are for calls that the library makes, once each */

int __wrap_ni_read_begin(struct hmm_interval_notifier *ni, uint64_t deadline, uint64_t *seq)
{
	if (t.between && !inside) {
		inside = true;
		t.between();
		inside = false;
	}
	return __real_ni_read_begin(ni, deadline, seq);
}

bool __wrap_hmm_interval_read_retry(struct hmm_interval_notifier *ni, uint64_t seq)
{
	bool collided = t.collide && t.collide();

	return __real_hmm_interval_read_retry(ni, seq) || collided;
}

static int ignore(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { .size = sizeof(ops), .invalidate = ignore };

static int setup(void **state)
{
	char *room = mmap(NULL, (PAGES + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(&t, 0, sizeof(t));
	assert_ptr_not_equal(room, MAP_FAILED);
	t.p = room + PAGE;
	assert_int_equal(mprotect(t.p, PAGES * PAGE, RW), 0);
	memset(t.p, 1, PAGES * PAGE);
	assert_int_equal(hmm_mm_attach(NULL, &t.mm), 0);
	assert_int_equal(
		hmm_interval_notifier_insert(t.mm, (uint64_t)t.p, PAGES * PAGE, &ops, NULL, &t.ni),
		0);
	return 0;
}

static int teardown(void **state)
{
	mend();
	t.between = NULL;
	t.collide = NULL;
	hmm_interval_notifier_remove(t.ni);
	hmm_mm_detach(t.mm);
	munmap(t.p - PAGE, (PAGES + 2) * PAGE);
	return 0;
}

static int fault(uint64_t timeout_ns)
{
	memset(t.pfns, 0, sizeof(t.pfns));
	t.range = (struct hmm_range){ .size = sizeof(t.range),
				      .notifier = t.ni,
				      .start = (uint64_t)t.p,
				      .end = (uint64_t)t.p + PAGES * PAGE,
				      .hmm_pfns = t.pfns,
				      .default_flags = HMM_PFN_REQ_FAULT };
	t.attempts = 0;
	return hmm_range_fault(&t.range, timeout_ns);
}

static void sleep_ns(uint64_t ns)
{
	struct timespec ts = { (time_t)(ns / (1000 * MS)), (long)(ns % (1000 * MS)) };

	nanosleep(&ts, NULL);
}

static void invalidate(void)
{
	struct hmm_invalidation inv = { .start = (uint64_t)t.p,
					.end = (uint64_t)t.p + PAGE,
					.event = HMM_EVENT_MIGRATE };

	assert_int_equal(hmm_interval_invalidate(t.mm, &inv), 0);
}

static bool collide_five_times(void)
{
	if (t.attempts++ < 5)
		invalidate();
	return false;
}

static void rule_12_each_attempt_has_a_sequence_of_its_own(void **state)
{
	t.collide = collide_five_times;
	assert_int_equal(fault(60000 * MS), 0);
	assert_true(t.attempts >= 6);
	assert_false(hmm_interval_stale(t.ni, t.range.notifier_seq));
	if (break_rule("old-sequence"))
		assert_int_equal(fault(TIMEOUT), -EBUSY);
}

static bool collide_always(void)
{
	invalidate();
	return false;
}

static void rule_12_a_deadline_ends_what_comes_nowhere(void **state)
{
	uint64_t begun = clock_ns();

	t.collide = collide_always;
	assert_int_equal(fault(TIMEOUT), -EBUSY);
	assert_true(clock_ns() - begun >= TIMEOUT);
	assert_int_equal(t.range.last, t.range.start);
}

static uint64_t until;

static bool collide_until(void)
{
	if (clock_ns() < until)
		invalidate();
	return false;
}

static void rule_12_for_ever_is_for_ever(void **state)
{
	t.collide = collide_until;
	until = clock_ns() + 300 * MS;
	assert_int_equal(fault(HMM_FOREVER), 0);
	assert_true(clock_ns() >= until);
}

/* Each attempt finds one page more than the one before, and takes a fifth of the time it has. */
static void lose_the_next_page(void)
{
	if (++t.attempts >= STEPS)
		return;
	madvise(t.p + t.attempts * PAGE, PAGE, MADV_DONTNEED);
	assert_int_equal(hmm_mm_barrier(t.mm, HMM_FOREVER), 0);
	sleep_ns(AMPLE / 5);
}

static void rule_12_progress_is_never_cut(void **state)
{
	uint64_t begun = clock_ns();

	t.between = lose_the_next_page;
	assert_int_equal(fault(AMPLE), 0);
	/* The pump may find the end of the last discard late, and outdate one more attempt. */
	assert_true(t.attempts >= STEPS);
	assert_true(clock_ns() - begun >= 2 * AMPLE);
	if (break_rule("cut-progress"))
		assert_int_equal(fault(AMPLE), -EBUSY);
}

static void take_long(void)
{
	if (!t.attempts++)
		sleep_ns(AMPLE + TIMEOUT);
}

/* Something else is in flight, for a moment after the walk. */
static bool collide_elsewhere(void)
{
	return t.attempts++ < 3;
}

static void rule_12_a_walk_that_takes_long_is_progress(void **state)
{
	t.between = take_long;
	t.collide = collide_elsewhere;
	assert_int_equal(fault(AMPLE), 0);
	if (break_rule("cut-progress"))
		assert_int_equal(fault(AMPLE), -ETIME);
}

/* ---- a driver's callback that hangs ---------------------------------------------------------- */

static struct {
	_Atomic bool entered, release;
} hang;

static int wait_for_release(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
			    void *priv)
{
	hang.entered = true;
	while (!hang.release)
		sleep_ns(MS);
	return 0;
}

static const struct hmm_interval_notifier_ops hanging_ops = { .size = sizeof(hanging_ops),
							      .invalidate = wait_for_release };

static void *fault_thread(void *arg)
{
	*(_Atomic int *)arg = fault(TIMEOUT);
	return NULL;
}

/*
 * Runs a fault while the pump is inside a callback that hangs; 1: it did not come back meanwhile.
 */
static int fault_beside_a_stuck_pump(int patience_ms)
{
	char *q = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct hmm_interval_notifier *other;
	struct hmm_range r = { .size = sizeof(r), .default_flags = HMM_PFN_REQ_FAULT };
	_Atomic int answer = 1;
	pthread_t thread;
	uint64_t pfn = 0;
	int ret;

	hang.entered = hang.release = false;
	assert_int_equal(mprotect(q + PAGE, PAGE, RW), 0);
	r.start = (uint64_t)q + PAGE;
	r.end = r.start + PAGE;
	r.hmm_pfns = &pfn;
	hang.release = true;
	assert_int_equal(
		hmm_interval_notifier_insert(t.mm, r.start, PAGE, &hanging_ops, NULL, &other), 0);
	r.notifier = other;
	assert_int_equal(hmm_range_fault(&r, HMM_FOREVER), 0);
	hang.entered = hang.release = false;
	munmap(q + PAGE, PAGE);
	while (!hang.entered)
		sleep_ns(MS);
	assert_int_equal(pthread_create(&thread, NULL, fault_thread, (void *)&answer), 0);
	for (int i = 0; i < patience_ms / 10 && answer == 1; i++)
		sleep_ns(10 * MS);
	ret = answer;
	hang.release = true;
	pthread_join(thread, NULL);
	hmm_interval_notifier_remove(other);
	munmap(q, 3 * PAGE);
	return ret;
}

static void rule_12_a_deadline_holds_while_a_callback_hangs(void **state)
{
	/* Not registered yet: the pump's lock. */
	assert_int_equal(fault_beside_a_stuck_pump(20000), -ETIME);
	assert_int_equal(fault(HMM_FOREVER), 0);
	/* Registered: the pump's sequence. */
	assert_int_equal(fault_beside_a_stuck_pump(20000), -ETIME);
	assert_int_equal(fault(HMM_FOREVER), 0);
	if (break_rule("no-deadline"))
		assert_int_equal(fault_beside_a_stuck_pump(300), 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(rule_12_each_attempt_has_a_sequence_of_its_own),
		T(rule_12_a_deadline_ends_what_comes_nowhere),
		T(rule_12_for_ever_is_for_ever),
		T(rule_12_progress_is_never_cut),
		T(rule_12_a_walk_that_takes_long_is_progress),
		T(rule_12_a_deadline_holds_while_a_callback_hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
