// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A thread that has blocked its signals: the library makes no calls for that any more. */
#include "common/devmem.h"

#include <hmm/engine.h>

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>

#define PAGES 4

static struct with_devmem with;
static _Atomic int handled;

static void on_signal(int sig)
{
	(void)sig;
	handled++;
}

/* A page is taken and given back while a signal is pending. */
static void *take(void *arg)
{
	struct hmm_exclusive *ex;
	char *p = arg;
	sigset_t set;

	hmm_thread_block_signals();
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	assert_int_equal(sigismember(&set, SIGUSR1), 1);
	assert_int_equal(sigismember(&set, SIGRTMAX), 1);
	assert_int_equal(sigismember(&set, SIGSEGV), 0);
	assert_int_equal(sigismember(&set, SIGBUS), 0);
	pthread_kill(pthread_self(), SIGUSR1);
	for (unsigned int i = 0; i < 100; i++) {
		assert_int_equal(hmm_exclusive_begin(with.m.mm, at(p), at(p) + PAGES * PAGE, &with,
						     HMM_FOREVER, &ex),
				 0);
		hmm_exclusive_end(ex);
	}
	assert_int_equal(to_device(&with, p, PAGES), 0);
	assert_int_equal(with.result.moved, PAGES);
	assert_int_equal(to_system(&with, p, PAGES), 0);
	assert_int_equal(handled, 0);
	sigpending(&set);
	assert_int_equal(sigismember(&set, SIGUSR1), 1);
	return arg;
}

static void its_signals_stay_blocked(void **state)
{
	const struct sigaction act = { .sa_handler = on_signal };
	char *p = map_anon(PAGES * PAGE, RW);
	pthread_t thread;
	void *done;

	(void)state;
	sigaction(SIGUSR1, &act, NULL);
	devmem_open(&with, REGION, 0);
	number(p, PAGES, 1);
	pthread_create(&thread, NULL, take, p);
	pthread_join(thread, &done);
	assert_ptr_equal(done, p);
	assert_numbered(p, PAGES, 1);
	munmap(p, PAGES * PAGE);
	devmem_close(&with);
}

static sigjmp_buf again;

static void on_segv(int sig)
{
	(void)sig;
	siglongjmp(again, 1);
}

/* An engine that touches what is not there gets its signal. */
static void *touch_nothing(void *arg)
{
	hmm_thread_block_signals();
	if (!sigsetjmp(again, 1))
		(void)*(volatile char *)arg;
	else
		handled++;
	return arg;
}

static void its_own_faults_are_handled(void **state)
{
	const struct sigaction act = { .sa_handler = on_segv };
	char *p = map_anon(PAGE, PROT_NONE);
	struct sigaction old;
	pthread_t thread;

	(void)state;
	handled = 0;
	sigaction(SIGSEGV, &act, &old);
	pthread_create(&thread, NULL, touch_nothing, p);
	pthread_join(thread, NULL);
	sigaction(SIGSEGV, &old, NULL);
	assert_int_equal(handled, 1);
	munmap(p, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_signals_stay_blocked),
		cmocka_unit_test(its_own_faults_are_handled),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
