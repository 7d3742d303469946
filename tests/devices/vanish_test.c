// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Memory that vanishes under an engine's load, and the program's own handlers beside a device. */
#include <signal.h>
#include "common/soft.h"

/* ---- memory that vanishes -------------------------------------------------------------------- */

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

/* 0; or -EFAULT: on a busy machine the memory came back after the fault was looked at. */
static int vanish_and_come_back(struct mirror *m, struct vanish *v)
{
	pthread_t t;
	int err;

	*v = (struct vanish){ .p = pattern(M2), .at = 3 * PAGE };
	/* The fault buffer is slow: 50 ms. */
	reopen(m, "delay:us=50000,on=fetch,soft", 1, NULL);
	pthread_create(&t, NULL, give_back, v);
	err = run(m, kernel_vanish, v, 1);
	pthread_join(t, NULL);
	munmap(v->p, M2);
	return err;
}

static void vanished_memory_that_comes_back_is_replayed(void **state)
{
	struct mirror *m = *state;
	struct vanish v;
	int err = -EFAULT;

	for (int i = 0; i < 20 && err == -EFAULT; i++)
		err = vanish_and_come_back(m, &v);
	assert_int_equal(err, 0);
	assert_int_equal(v.value, (char)(v.at * 31 + v.at / PAGE));
	assert_int_equal(device_stats(m).guard_hits, 1);
	assert_int_equal(device_stats(m).restarts, 1);
	assert_int_equal(v.runs, 2);
}

static int kernel_load_vanish(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct vanish *v = arg;
	char buf[64];
	int ret = hmm_load(ctx, buf, at(v->p), 64);

	v->runs++;
	if (ret)
		return ret;
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

/* ---- the program's own handlers -------------------------------------------------------------- */

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

/* ---- installed while a job runs -------------------------------------------------------------- */

struct late {
	char *p;
	_Atomic bool running, installed;
	uint64_t loads; /* after it was installed, before the memory goes */
};

/* The memory goes by itself; nothing that the mirror could know of. */
static int kernel_late(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct late *l = arg;
	char buf[8];
	int ret = hmm_load(ctx, buf, at(l->p), sizeof(buf));

	l->running = true;
	while (!l->installed)
		sched_yield();
	for (uint64_t i = 0; !ret && i < l->loads; i++)
		ret = hmm_load(ctx, buf, at(l->p) + PAGE, sizeof(buf));
	if (ret)
		return ret;
	syscall(SYS_mprotect, l->p, PAGE, PROT_NONE);
	return hmm_load(ctx, buf, at(l->p), sizeof(buf));
}

static void handler_from_a_running_job_is_chained_after_some_loads(void **state)
{
	struct mirror *m = *state;
	struct late l = { .p = pattern(M2), .loads = 10000 };
	struct sigaction sa = { .sa_sigaction = own_handler, .sa_flags = SA_SIGINFO };
	struct hmm_job job = { .size = sizeof(job), .kernel = kernel_late, .arg = &l, .items = 1 };
	char *none = map_aligned(PAGE, PROT_NONE);

	signal(SIGSEGV, SIG_DFL);
	assert_int_equal(hmm_svm_submit(m->svm, &job), 0);
	while (!l.running)
		sched_yield();
	own_calls = 0;
	sigaction(SIGSEGV, &sa, NULL);
	l.installed = true;
	assert_int_equal(hmm_svm_wait(m->svm, &job, HMM_FOREVER), 0);
	assert_int_equal(job.status, -EFAULT);
	assert_int_equal(own_calls, 0);
	crash(none);
	assert_int_equal(own_calls, 1);
	signal(SIGSEGV, SIG_DFL);
	munmap(l.p, M2);
	munmap(none, PAGE);
}

/* The program tells: not one load in between. */
static void handler_that_is_installed_through_the_library_is_behind_at_once(void **state)
{
	struct mirror *m = *state;
	struct late l = { .p = pattern(M2) };
	struct sigaction sa = { .sa_sigaction = own_handler, .sa_flags = SA_SIGINFO };
	struct sigaction old;
	struct hmm_job job = { .size = sizeof(job), .kernel = kernel_late, .arg = &l, .items = 1 };
	char *none = map_aligned(PAGE, PROT_NONE);

	signal(SIGSEGV, SIG_DFL);
	assert_int_equal(hmm_svm_submit(m->svm, &job), 0);
	while (!l.running)
		sched_yield();
	assert_int_equal(hmm_guard_sigaction(SIGSEGV, &sa, &old), 0);
	assert_ptr_equal(old.sa_handler, SIG_DFL);
	own_calls = 0;
	l.installed = true;
	assert_int_equal(hmm_svm_wait(m->svm, &job, HMM_FOREVER), 0);
	assert_int_equal(job.status, -EFAULT);
	assert_int_equal(own_calls, 0);
	crash(none);
	assert_int_equal(own_calls, 1);
	assert_int_equal(hmm_guard_sigaction(SIGSEGV, NULL, &old), 0);
	assert_ptr_equal(old.sa_sigaction, own_handler);
	signal(SIGSEGV, SIG_DFL);
	munmap(l.p, M2);
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
		T(handler_from_a_running_job_is_chained_after_some_loads),
		T(handler_that_is_installed_through_the_library_is_behind_at_once),
		T(crash_of_the_program_still_kills_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
