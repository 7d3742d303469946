/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Memory that vanishes under a load, and the program's own handlers. */
#include <signal.h>
#include "common/soft.h"

/* ---- memory that vanishes ----------------------------------------------------------------------- */

static void vanished_memory_is_an_error_and_no_crash(void **state)
{
	struct mirror *m = *state;
	struct vanish v = { .p = pattern(M2), .at = 3 * PAGE };

	assert_int_equal(run(m, kernel_vanish, &v, 1), -EFAULT);
	assert_int_equal(device_stats(m).guard_hits, 1);
	assert_int_equal(v.runs, 1);
	/* The engine is as good as before. */
	v.p += K64;
	assert_int_equal(run(m, kernel_vanish, &v, 1), 0);
	munmap(v.p - K64, M2);
}

static void *give_back(void *arg)
{
	struct vanish *v = arg;

	while (!v->phase)
		sched_yield();
	mprotect(v->p + v->at, PAGE, PROT_READ);
	v->phase = 2;
	return NULL;
}

static void vanished_memory_that_comes_back_is_replayed(void **state)
{
	struct mirror *m = *state;
	struct vanish v = { .p = pattern(M2), .at = 3 * PAGE };
	pthread_t t;

	/* The fault buffer is slow: the memory is back when the fault is looked at. */
	reopen(m, "delay:us=50000,on=fetch,soft", 1, NULL);
	pthread_create(&t, NULL, give_back, &v);
	assert_int_equal(run(m, kernel_vanish, &v, 1), 0);
	pthread_join(t, NULL);
	assert_int_equal(v.value, (char)(v.at * 31 + v.at / PAGE));
	assert_int_equal(device_stats(m).guard_hits, 1);
	assert_int_equal(device_stats(m).restarts, 1);
	assert_int_equal(v.runs, 2);
	munmap(v.p, M2);
}

static int kernel_load_vanish(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct vanish *v = arg;
	char buf[64];
	int rc = hmm_load(ctx, buf, at(v->p), 64);

	v->runs++;
	if (rc)
		return rc;
	syscall(SYS_mprotect, v->p, PAGE, PROT_NONE);
	return hmm_load(ctx, buf, at(v->p), 64);
}

static void load_of_vanished_memory_returns_the_error(void **state)
{
	struct mirror *m = *state;
	struct vanish v = { .p = pattern(M2) };

	assert_int_equal(run(m, kernel_load_vanish, &v, 1), -EFAULT);
	assert_int_equal(v.runs, 1);
	assert_int_equal(device_stats(m).guard_hits, 1);
	assert_int_equal(device_stats(m).restarts, 0);
	munmap(v.p, M2);
}

static void truncated_file_is_an_error_and_no_crash(void **state)
{
	struct mirror *m = *state;
	int fd = memfd_create("cut", 0);
	struct span s = { .len = M2, .buf = malloc(M2) };
	char *p;

	assert_int_equal(ftruncate(fd, M2), 0);
	p = mmap(NULL, M2, PROT_READ, MAP_SHARED, fd, 0);
	s.va = at(p);
	assert_int_equal(run(m, kernel_load, &s, 1), 0);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	assert_int_equal(run(m, kernel_load, &s, 1), -EFAULT);
	free(s.buf);
	munmap(p, M2);
	close(fd);
}

/* ---- the program's own handlers --------------------------------------------------------------------- */

static sigjmp_buf own_landing;
static volatile sig_atomic_t own_calls;
static void *volatile own_addr;

static void own_handler(int sig, siginfo_t *info, void *context)
{
	own_calls++;
	own_addr = info->si_addr;
	siglongjmp(own_landing, 1);
}

static void install_own(void)
{
	struct sigaction sa = { .sa_sigaction = own_handler, .sa_flags = SA_SIGINFO };

	own_calls = 0;
	sigaction(SIGSEGV, &sa, NULL);
}

static void crash(void *where)
{
	if (!sigsetjmp(own_landing, 1))
		*(volatile char *)where = 1;
}

static void handler_from_before_still_gets_its_signals(void **state)
{
	struct mirror *m = *state;
	struct vanish v = { .p = pattern(M2) };
	char *none = map_aligned(PAGE, PROT_NONE);

	install_own();
	reopen(m, "soft", 1, NULL);
	assert_int_equal(run(m, kernel_vanish, &v, 1), -EFAULT);
	assert_int_equal(own_calls, 0);
	crash(none + 7);
	crash(none + 8);
	assert_int_equal(own_calls, 2);
	assert_ptr_equal(own_addr, none + 8);
	signal(SIGSEGV, SIG_DFL);
	munmap(v.p, M2);
	munmap(none, PAGE);
}

static void handler_from_after_is_chained_at_the_next_job(void **state)
{
	struct mirror *m = *state;
	struct vanish v = { .p = pattern(M2) };
	char *none = map_aligned(PAGE, PROT_NONE);

	install_own();
	assert_int_equal(run(m, kernel_vanish, &v, 1), -EFAULT);
	assert_int_equal(own_calls, 0);
	assert_int_equal(device_stats(m).guard_hits, 1);
	crash(none);
	assert_int_equal(own_calls, 1);
	signal(SIGSEGV, SIG_DFL);
	munmap(v.p, M2);
	munmap(none, PAGE);
}

static void crash_of_the_program_still_kills_it(void **state)
{
	char *none = map_aligned(PAGE, PROT_NONE);
	int status;
	pid_t pid;

	signal(SIGSEGV, SIG_DFL);
	reopen(*state, "soft", 1, NULL);
	pid = fork();
	if (pid == 0) {
		*(volatile char *)none = 1;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSEGV);
	munmap(none, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(vanished_memory_is_an_error_and_no_crash),
		T(vanished_memory_that_comes_back_is_replayed),
		T(load_of_vanished_memory_returns_the_error),
		T(truncated_file_is_an_error_and_no_crash),
		T(handler_from_before_still_gets_its_signals),
		T(handler_from_after_is_chained_at_the_next_job),
		T(crash_of_the_program_still_kills_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
