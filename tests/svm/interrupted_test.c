// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A signal handler of the program replaces mirrored memory while its thread is inside a mirror's
 * call, whatever lock that call holds: of a table, of the mirror, the gate.
 *
 *	thread				pump			watchdog
 *	hmm_svm_fault(): holds a lock
 *	handler: mmap over mirrored
 *	memory, sleeps until it is read	waits for the lock
 *								reads in its place
 *	goes on
 */
#include <signal.h>
#include <sys/time.h>
#include "common/svm.h"

#define RW (PROT_READ | PROT_WRITE)
#define PAGES 16
#define BLOCKS 16
#define SECONDS 3

static char *volatile changing;
static volatile sig_atomic_t changes;
static _Atomic bool stop;

static void replace(int sig)
{
	int saved = errno;

	mmap(changing + changes % PAGES * PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
	     -1, 0);
	changes++;
	errno = saved;
}

static void call_it_all(struct mirror *m, char *p, uint64_t i)
{
	hmm_svm_fault(m->svm, at(changing) + i % PAGES * PAGE, PAGE, PROT_READ);
	hmm_svm_fault(m->svm, at(p) + i % BLOCKS * M2, PAGE, RW);
	if (i % 16 == 0)
		hmm_svm_drop(m->svm, at(p), at(p) + BLOCKS * M2);
	if (i % 64 == 0)
		hmm_svm_collect(m->svm);
	if (i % 64 == 32)
		svm_stats(m);
}

static void *call_beside(void *arg)
{
	struct mirror *m = arg;
	sigset_t all;
	char *p = map_aligned(M2, RW);

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	while (!stop) {
		hmm_svm_fault(m->svm, at(p), PAGE, RW);
		hmm_svm_drop(m->svm, at(p), at(p) + PAGE);
	}
	munmap(p, M2);
	return NULL;
}

static void handler_that_unmaps_inside_a_call_comes_back(void **state)
{
	struct itimerval often = { { 0, 700 }, { 0, 700 } };
	struct itimerval never = { 0 };
	struct hmm_svm_options options = HMM_SVM_OPTIONS_INIT;
	struct sigaction sa = { .sa_handler = replace, .sa_flags = SA_RESTART };
	struct mirror m;
	char *p = map_aligned(BLOCKS * M2, RW);
	uint64_t end = now_ns() + SECONDS * 1000000000ULL;
	uint64_t calls = 0;
	pthread_t t;

	options.chunk_shifts = 1 << 12;
	changing = map_aligned(PAGES * PAGE, RW);
	mirror_open(&m, "null", 1, &options);
	pthread_create(&t, NULL, call_beside, &m);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	/* Calls are few on an emulated machine, of which each waits 50 ms now and then. */
	while (now_ns() < end || changes <= 10)
		call_it_all(&m, p, calls++);
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_DFL);
	stop = true;
	pthread_join(t, NULL);
	print_message("%d changes in a handler, %lu calls\n", (int)changes, calls);
	mirror_close(&m);
	munmap(changing, PAGES * PAGE);
	munmap(p, BLOCKS * M2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handler_that_unmaps_inside_a_call_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
