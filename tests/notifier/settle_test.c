// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * After something was lost the lock of the address space is another's for as long as the test
 * likes. Only the settler waits for it: what is held up is held up until everybody else has come
 * further.
 */
#include "common/space.h"
#include "common/fake_log.h"
#include "notifier/drain.h"
#include "base/deadline.h"

#include <errno.h>
#include <limits.h>

#define WAIT_NS 20000000000ULL
#define GIVE_UP_MS 20000
#define A 0x10000000ULL
#define B (A + 16 * PAGE)

/* The system call that takes the lock: it allows a page what is allowed there. */
static struct {
	_Atomic int calls;
	_Atomic int allowed; /* so many return */
	_Atomic bool refused;
	_Atomic bool gave_up; /* the test stood still, too */
} lock = { .allowed = INT_MAX };

static void wait_for_lock(void)
{
	const int number = ++lock.calls;
	int ms = 0;

	for (; number > lock.allowed && ms < GIVE_UP_MS; ms++)
		sleep_ms(1);
	if (ms == GIVE_UP_MS)
		lock.gave_up = true;
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

long __wrap_syscall(long number, ...)
{
	long arg[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		arg[i] = va_arg(ap, long);
	va_end(ap);
	if (number != SYS_mprotect || arg[1] != (long)PAGE || arg[2] != (PROT_READ | PROT_WRITE))
		return __real_syscall(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
	wait_for_lock();
	if (!lock.refused)
		return __real_syscall(number, arg[0], arg[1], arg[2]);
	errno = EPERM;
	return -1;
}

struct scene {
	struct fake_log *log;
	struct hmm_mm *mm;
	struct hmm_interval_notifier *ni;
	struct seen seen;
};

static void scene_close(struct scene *s)
{
	lock.allowed = INT_MAX;
	hmm_interval_notifier_remove(s->ni);
	hmm_mm_detach(s->mm);
	fake_log_close(s->log);
}

static void lose(struct scene *s)
{
	fake_add(&s->log->space.trouble, 1);
}

/* A reader may find the log's lock busy. */
static void read_all(struct scene *s)
{
	const struct log *log = s->mm->log;

	for (int ms = 0; ms < GIVE_UP_MS; ms++, sleep_ms(1)) {
		log_drain(s->mm);
		if (atomic_load(&log->records) == log_load(&s->log->space.records) &&
		    atomic_load(&log->trouble) == log_load(&s->log->space.trouble))
			return;
	}
	fail();
}

/* A thread that takes the lock waits from now on. */
static int hold(void)
{
	const int calls = lock.calls;

	lock.allowed = calls;
	return calls;
}

static void somebody_waits(int calls)
{
	for (int ms = 0; lock.calls < calls && ms < GIVE_UP_MS; ms++)
		sleep_ms(1);
	assert_true(lock.calls >= calls);
}

static void scene_open(struct scene *s, enum hmm_provider provider)
{
	const int calls = lock.calls;
	struct hmm_mm_options o;

	memset(s, 0, sizeof(*s));
	lock.allowed = INT_MAX;
	lock.refused = lock.gave_up = false;
	s->log = fake_log_open();
	fake_options(&o, provider);
	assert_int_equal(hmm_mm_attach(&o, &s->mm), 0);
	assert_int_equal(hmm_interval_notifier_insert(s->mm, A, B - A, &on_ops, &s->seen, &s->ni),
			 0);
	hmm_interval_read_begin(s->ni);
	/* What was under way when the space was attached. */
	somebody_waits(calls + 1);
}

static bool is_valid(struct scene *s)
{
	const uint64_t seq = hmm_interval_read_begin(s->ni);

	for (int ms = 0; ms < GIVE_UP_MS; ms++, sleep_ms(1)) {
		if (!hmm_interval_stale(s->ni, seq))
			return true;
	}
	return false;
}

/* A fault comes first, then a barrier, for which the pump has to run callbacks. */
static void nobody_else_waits_for_the_lock(void **state)
{
	struct scene s;
	int calls, ret;

	(void)state;
	scene_open(&s, HMM_PROVIDER_BPF);
	for (int i = 1; i <= 3; i++) {
		calls = hold();
		lose(&s);
		ret = log_wait(s.mm, A, B, clock_ns() + 5000000);
		assert_true(!ret || ret == -ETIME);
		assert_int_equal(hmm_mm_barrier(s.mm, WAIT_NS), 0);
		assert_int_equal(s.seen.events[HMM_EVENT_CLEAR], i);
		assert_true(is_valid(&s));
		somebody_waits(calls + 1);
		assert_false(lock.gave_up);
		lock.allowed = INT_MAX;
	}
	scene_close(&s);
}

/* Long before it would be trusted for its age; on a busy machine not always. */
static void the_settler_is_called_at_once(void **state)
{
	uint64_t least = UINT64_MAX;
	struct scene s;

	(void)state;
	scene_open(&s, HMM_PROVIDER_BPF);
	for (int i = 0; i < 200 && least >= LOG_SETTLE_NS / 2; i++) {
		const uint64_t began = clock_ns();

		lose(&s);
		assert_int_equal(log_wait(s.mm, A, B, began + WAIT_NS), 0);
		least = clock_ns() - began < least ? clock_ns() - began : least;
	}
	assert_true(least < LOG_SETTLE_NS / 2);
	scene_close(&s);
}

/* Nobody knows what is under way. */
static void a_lock_that_is_refused_was_not_taken(void **state)
{
	struct scene s;
	uint64_t began;

	(void)state;
	scene_open(&s, HMM_PROVIDER_BPF);
	lock.refused = true;
	for (int i = 0; i < 3; i++) {
		began = clock_ns();
		lose(&s);
		assert_int_equal(log_wait(s.mm, A, B, began + WAIT_NS), 0);
		assert_true(clock_ns() - began >= LOG_SETTLE_NS);
	}
	scene_close(&s);
}

/* An end is waited for a second, and a busy machine may take as long. */
static bool is_waited_for(struct scene *s)
{
	return log_wait(s->mm, A, B, clock_ns() + 2 * LOG_SETTLE_NS) == -ETIME;
}

static bool is_over(struct scene *s)
{
	return !log_wait(s->mm, A, B, clock_ns() + LOG_OPEN_NS / 2);
}

static void by_and_by(bool (*scene)(void))
{
	bool seen = false;

	for (int i = 0; i < 10 && !seen; i++)
		seen = scene();
	assert_true(seen);
}

static bool doubt(void)
{
	struct scene s;
	uint64_t seq;
	bool seen;

	scene_open(&s, HMM_PROVIDER_BPF);
	fake_begin(s.log, A, B, WATCH_CLEAR);
	read_all(&s);
	hold();
	lose(&s);
	assert_int_equal(hmm_mm_barrier(s.mm, WAIT_NS), 0);
	seen = is_waited_for(&s);
	lock.allowed = INT_MAX;
	seen &= is_over(&s);
	/* The same, and its end comes while the lock is another's. */
	fake_begin(s.log, A, B, WATCH_CLEAR);
	read_all(&s);
	hold();
	lose(&s);
	assert_int_equal(hmm_mm_barrier(s.mm, WAIT_NS), 0);
	seq = atomic_load(&s.ni->seq);
	fake_end(s.log, A, B, WATCH_CLEAR);
	seen &= is_over(&s);
	assert_int_not_equal(atomic_load(&s.ni->seq), seq);
	assert_true(is_valid(&s));
	assert_false(lock.gave_up);
	scene_close(&s);
	return seen;
}

/* Its end may be lost, or that of a later change: until one knows, it is under way. */
static void what_is_doubtful_stays_so(void **state)
{
	(void)state;
	by_and_by(doubt);
}

static bool lose_more(void)
{
	struct scene s;
	bool seen;
	int calls;

	scene_open(&s, HMM_PROVIDER_BPF);
	calls = hold();
	lose(&s);
	read_all(&s);
	somebody_waits(calls + 1);
	fake_begin(s.log, A, B, WATCH_CLEAR);
	read_all(&s);
	lose(&s);
	assert_int_equal(hmm_mm_barrier(s.mm, WAIT_NS), 0);
	lock.allowed = calls + 1;
	somebody_waits(calls + 2);
	seen = is_waited_for(&s);
	lock.allowed = INT_MAX;
	seen &= is_over(&s);
	assert_false(lock.gave_up);
	scene_close(&s);
	return seen;
}

/* What began after the lock was asked for may be under way when it was had. */
static void what_is_lost_meanwhile_is_waited_for_anew(void **state)
{
	(void)state;
	by_and_by(lose_more);
}

static _Atomic bool inside, returned;

static int hang(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	(void)ni;
	(void)inv;
	(void)priv;
	inside = true;
	for (int ms = 0; !returned && ms < GIVE_UP_MS; ms++)
		sleep_ms(1);
	return 0;
}

static const struct hmm_interval_notifier_ops hang_ops = { sizeof(hang_ops), hang, NULL };

/* The settler waits, and the pump hangs in a driver: an munmap goes on all the same. */
static void the_watchdog_is_free_to_read(void **state)
{
	struct hmm_interval_notifier *ni;
	struct space mapped = { 0 };
	struct scene s;
	pthread_t t;

	(void)state;
	scene_open(&s, HMM_PROVIDER_BOTH);
	inside = returned = false;
	assert_int_equal(hmm_interval_notifier_insert(s.mm, A, PAGE, &hang_ops, NULL, &ni), 0);
	mapped.mm = s.mm;
	map_pages(&mapped, 1);
	assert_int_equal(watch(&mapped), 0);
	hold();
	lose(&s);
	read_all(&s);
	for (int ms = 0; !inside && ms < GIVE_UP_MS; ms++)
		sleep_ms(1);
	assert_true(inside);
	assert_int_equal(pthread_create(&t, NULL, unmap_first_page, &mapped), 0);
	pthread_join(t, NULL);
	assert_false(lock.gave_up);
	returned = true;
	hmm_interval_notifier_remove(ni);
	scene_close(&s);
	munmap(mapped.p, mapped.bytes);
}

/* The end of the space comes when the lock was had. */
static void *detach(void *arg)
{
	hmm_mm_detach(arg);
	returned = true;
	return NULL;
}

static void detaching_waits_for_the_settler(void **state)
{
	struct scene s;
	pthread_t t;
	int calls;

	(void)state;
	scene_open(&s, HMM_PROVIDER_BPF);
	returned = false;
	calls = hold();
	lose(&s);
	read_all(&s);
	somebody_waits(calls + 1);
	hmm_interval_notifier_remove(s.ni);
	assert_int_equal(pthread_create(&t, NULL, detach, s.mm), 0);
	sleep_ms(50);
	assert_false(returned);
	lock.allowed = INT_MAX;
	pthread_join(t, NULL);
	fake_log_close(s.log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_else_waits_for_the_lock),
		cmocka_unit_test(the_settler_is_called_at_once),
		cmocka_unit_test(a_lock_that_is_refused_was_not_taken),
		cmocka_unit_test(what_is_doubtful_stays_so),
		cmocka_unit_test(what_is_lost_meanwhile_is_waited_for_anew),
		cmocka_unit_test(the_watchdog_is_free_to_read),
		cmocka_unit_test(detaching_waits_for_the_settler),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
