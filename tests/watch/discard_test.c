// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Discards settle whatever the threads of the program do, and never while one of them may be in the
 * middle.
 */
#include "common/space.h"
#include "common/held_discard.h"
#include "base/deadline.h"
#include "watch/discard.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

#define SETTLES_MS 20000 /* on a busy machine; some ms on one that is not */

static bool settles(struct space *s)
{
	for (int ms = 0; ms < SETTLES_MS; ms++) {
		if (!discard_pending(s->mm, addr(s, 0), addr(s, 1)))
			return true;
		sleep_ms(1);
	}
	return false;
}

enum job { SPIN, YIELD, DISCARD_AND_SPIN, CHURN };

struct worker {
	enum job job;
	struct space *s;
	_Atomic bool began;
	_Atomic bool stop;
	pthread_t thread;
};

static void *nothing(void *arg)
{
	return arg;
}

static void churn(void)
{
	pthread_t t;

	if (!pthread_create(&t, NULL, nothing, NULL))
		pthread_join(t, NULL);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	if (w->job == DISCARD_AND_SPIN)
		madvise(w->s->p, PAGE, MADV_DONTNEED);
	atomic_store(&w->began, true);
	while (!atomic_load(&w->stop)) {
		if (w->job == YIELD)
			sched_yield();
		else if (w->job == CHURN)
			churn();
	}
	return NULL;
}

static void start(struct worker *w, enum job job, struct space *s)
{
	*w = (struct worker){ .job = job, .s = s };
	assert_int_equal(pthread_create(&w->thread, NULL, work, w), 0);
	while (!atomic_load(&w->began))
		sched_yield();
}

static void stop(struct worker *w)
{
	atomic_store(&w->stop, true);
	pthread_join(w->thread, NULL);
}

static void beside(enum job job, int workers)
{
	struct worker w[4];
	struct space s;
	bool settled;

	space_open(&s, 4, 0);
	for (int i = 0; i < workers; i++)
		start(&w[i], job, &s);
	if (job != DISCARD_AND_SPIN)
		madvise(s.p, PAGE, MADV_DONTNEED);
	settle(&s);
	assert_int_equal(s.seen.events[HMM_EVENT_CLEAR], job == DISCARD_AND_SPIN ? workers : 1);
	settled = settles(&s);
	for (int i = 0; i < workers; i++)
		stop(&w[i]);
	assert_true(settled);
	space_close(&s);
}

static void a_discard_settles_beside_threads_that_spin(void **state)
{
	beside(SPIN, 1);
	beside(SPIN, 4);
}

static void a_discard_settles_beside_a_thread_that_makes_system_calls_only(void **state)
{
	beside(YIELD, 1);
}

static void the_discard_of_a_thread_that_spins_afterwards_settles(void **state)
{
	beside(DISCARD_AND_SPIN, 1);
}

static void a_discard_settles_while_threads_come_and_go(void **state)
{
	beside(CHURN, 2);
}

/*
 * It has no registers of a user's, is busy for as long as it may be idle, and makes no call for
 * anybody.
 */
static void a_discard_settles_beside_a_kernel_thread_that_polls(void **state)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SQPOLL, .sq_thread_idle = 60000 };
	struct space s;
	int ring = (int)syscall(SYS_io_uring_setup, 1, &params);

	if (ring < 0) {
		print_message("no io_uring that polls: %s\n", strerror(errno));
		skip();
	}
	space_open(&s, 4, 0);
	madvise(s.p, PAGE, MADV_DONTNEED);
	settle(&s);
	assert_true(settles(&s));
	close(ring);
	space_close(&s);
}

/* Nobody asks: what is faulted for the first time some time after a discard is not pending. */
static void a_discard_settles_without_being_asked_about(void **state)
{
	struct worker w;
	struct space s;
	int ms;

	space_open(&s, 4, 0);
	start(&w, SPIN, &s);
	madvise(s.p, PAGE, MADV_DONTNEED);
	settle(&s);
	for (ms = 0; ms < SETTLES_MS && atomic_load(&s.mm->discards.n); ms++)
		sleep_ms(1);
	stop(&w);
	assert_int_equal(atomic_load(&s.mm->discards.n), 0);
	space_close(&s);
}

#define LARGE (128UL << 20)

static _Atomic int inside;

static void *discard_much(void *p)
{
	atomic_store(&inside, 1);
	madvise(p, LARGE, MADV_DONTNEED);
	atomic_store(&inside, 2);
	return NULL;
}

/* It runs all the while, for many ticks, but not in user mode. */
static void a_discard_that_takes_its_time_is_pending_until_it_has_ended(void **state)
{
	const struct timespec little = { 0, 100000 };
	struct space s;
	pthread_t thread;
	int asked = 0;

	space_open(&s, LARGE / PAGE, 0);
	/* On a busy machine each may be over before this thread runs. */
	for (int i = 0; i < 5 || (!asked && i < 100); i++) {
		madvise(s.p, LARGE, MADV_NOHUGEPAGE);
		memset(s.p, 1, LARGE);
		s.seen.events[HMM_EVENT_CLEAR] = 0;
		atomic_store(&inside, 0);
		assert_int_equal(pthread_create(&thread, NULL, discard_much, s.p), 0);
		while (!s.seen.events[HMM_EVENT_CLEAR])
			sched_yield();
		settle(&s);
		for (;;) {
			const bool pending = discard_pending(s.mm, addr(&s, 0), addr(&s, 1));

			/*
			 * In this order: what had not ended by now was in the middle when it was
			 * asked about.
			 */
			if (atomic_load(&inside) == 2)
				break;
			/* The page that goes last. */
			if (!pending && s.p[LARGE - 1] == 1)
				fail_msg("said to have ended while pages are there");
			asked++;
			nanosleep(&little, NULL);
		}
		pthread_join(thread, NULL);
		assert_true(settles(&s));
	}
	print_message("asked %d times in the middle of a discard\n", asked);
	assert_true(asked > 0);
	space_close(&s);
}

/* ---- processes of another kind --------------------------------------------------------------- */

static int exit_of(pid_t pid)
{
	int status = 0;

	assert_true(pid > 0);
	for (int ms = 0; waitpid(pid, &status, WNOHANG) == 0; ms++) {
		if (ms == 50000) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return -1;
		}
		sleep_ms(1);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -2;
}

struct other {
	struct space s;
	pthread_t first;
};

static void *after_the_first_thread(void *arg)
{
	struct other *o = arg;

	pthread_join(o->first, NULL);
	madvise(o->s.p, PAGE, MADV_DONTNEED);
	settle(&o->s);
	_exit(settles(&o->s) ? 0 : 1);
}

static void a_discard_settles_where_the_first_thread_has_ended(void **state)
{
	pid_t pid;

#ifdef __SANITIZE_THREAD__
	skip(); /* it follows no child whose first thread ends */
#endif
	pid = fork();
	if (!pid) {
		static struct other o;
		pthread_t t;

		space_open(&o.s, 4, 0);
		o.first = pthread_self();
		pthread_create(&t, NULL, after_the_first_thread, &o);
		pthread_exit(NULL);
	}
	assert_int_equal(exit_of(pid), 0);
}

/* As after setuid(): what was readable only for the owner of the process is so no longer. */
static bool lose_privilege(void)
{
	const bool root = geteuid() == 0;

	if (root && (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)))
		return false;
	return !prctl(PR_SET_DUMPABLE, 0);
}

static void *sleep_long(void *arg)
{
	for (;;)
		sleep_ms(60000);
	return arg;
}

static int without_privilege(void)
{
	static struct worker spinner[2];
	struct space s;
	pthread_t sleeper;

	space_open(&s, 4, 0);
	pthread_create(&sleeper, NULL, sleep_long, NULL);
	if (!lose_privilege())
		return 2;
	for (int i = 0; i < 2; i++) {
		madvise(s.p, PAGE, MADV_DONTNEED);
		settle(&s);
		if (!settles(&s))
			return 3;
		start(&spinner[i], SPIN, &s);
	}
	return 0;
}

static void a_discard_settles_after_privilege_was_dropped(void **state)
{
	pid_t pid = fork();

	if (!pid)
		_exit(without_privilege());
	assert_int_equal(exit_of(pid), 0);
}

static _Atomic bool is_in;

static void *sleep_in_section(void *mm)
{
	struct hmm_engine *e;

	if (hmm_engine_create(mm, &e))
		_exit(4);
	hmm_engine_enter(e);
	atomic_store(&is_in, true);
	sleep_ms(20000);
	hmm_engine_exit(e);
	return NULL;
}

static int unmap_beside_a_sleeping_engine(void)
{
	struct space s;
	pthread_t t;
	uint64_t began;

	space_open(&s, 4, 0);
	if (!lose_privilege())
		return 2;
	pthread_create(&t, NULL, sleep_in_section, s.mm);
	while (!atomic_load(&is_in))
		sleep_ms(1);
	sleep_ms(10);
	began = clock_ns();
	munmap(s.p, PAGE);
	/* One that may be awake is waited for a second. */
	return clock_ns() - began < 700000000ULL ? 0 : 3;
}

/*
 * On a busy machine it may be awake still, or the time may have passed otherwise: for once, not
 * always.
 */

static void an_engine_that_sleeps_is_not_waited_for_after_privilege_was_dropped(void **state)
{
	int status = 3;

	for (int i = 0; i < 8 && status == 3; i++) {
		const pid_t pid = fork();

		if (!pid)
			_exit(unmap_beside_a_sleeping_engine());
		status = exit_of(pid);
	}
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_discard_settles_beside_threads_that_spin),
		cmocka_unit_test(a_discard_settles_beside_a_thread_that_makes_system_calls_only),
		cmocka_unit_test(the_discard_of_a_thread_that_spins_afterwards_settles),
		cmocka_unit_test(a_discard_settles_while_threads_come_and_go),
		cmocka_unit_test(a_discard_settles_beside_a_kernel_thread_that_polls),
		cmocka_unit_test(a_discard_settles_without_being_asked_about),
		cmocka_unit_test(a_discard_that_takes_its_time_is_pending_until_it_has_ended),
		cmocka_unit_test(a_discard_settles_where_the_first_thread_has_ended),
		cmocka_unit_test(a_discard_settles_after_privilege_was_dropped),
		cmocka_unit_test(
			an_engine_that_sleeps_is_not_waited_for_after_privilege_was_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
