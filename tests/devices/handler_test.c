/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Handlers of SIGSEGV and SIGBUS that the program installs, replaces and puts back while devices are there: the
 * device's faults are none of theirs, and all others are, as if there were no device.
 */
#include <signal.h>
#include "common/soft.h"

static sigjmp_buf landing;
static volatile sig_atomic_t calls_a, calls_b;

static void handler_a(int sig)
{
	calls_a++;
	siglongjmp(landing, 1);
}

static void handler_b(int sig)
{
	calls_b++;
	siglongjmp(landing, 1);
}

static void crash(void *where)
{
	if (!sigsetjmp(landing, 1))
		*(volatile char *)where = 1;
}

static struct sigaction plain(void (*handler)(int))
{
	return (struct sigaction){ .sa_handler = handler };
}

static int open_quiet(void **state)
{
	signal(SIGSEGV, SIG_DFL);
	calls_a = calls_b = 0;
	return open_soft(state);
}

static int close_quiet(void **state)
{
	signal(SIGSEGV, SIG_DFL);
	return close_mirror(state);
}

/* ---- installed while a job runs ------------------------------------------------------------------- */

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
	int rc = hmm_load(ctx, buf, at(l->p), sizeof(buf));

	l->running = true;
	while (!l->installed)
		sched_yield();
	for (uint64_t i = 0; !rc && i < l->loads; i++)
		rc = hmm_load(ctx, buf, at(l->p) + PAGE, sizeof(buf));
	if (rc)
		return rc;
	syscall(SYS_mprotect, l->p, PAGE, PROT_NONE);
	return hmm_load(ctx, buf, at(l->p), sizeof(buf));
}

static void handler_from_a_running_job_is_chained_after_some_loads(void **state)
{
	struct mirror *m = *state;
	struct late l = { .p = pattern(M2), .loads = 10000 };
	struct sigaction sa = plain(handler_a);
	struct hmm_job job = { .size = sizeof(job), .kernel = kernel_late, .arg = &l, .items = 1 };
	char *none = map_aligned(PAGE, PROT_NONE);

	assert_int_equal(hmm_svm_submit(m->svm, &job), 0);
	while (!l.running)
		sched_yield();
	sigaction(SIGSEGV, &sa, NULL);
	l.installed = true;
	assert_int_equal(hmm_svm_wait(m->svm, &job, 0), 0);
	assert_int_equal(job.status, -EFAULT);
	assert_int_equal(calls_a, 0);
	crash(none);
	assert_int_equal(calls_a, 1);
	munmap(l.p, M2);
	munmap(none, PAGE);
}

/* The program tells: not one load in between. */
static void handler_that_is_installed_through_the_library_is_behind_at_once(void **state)
{
	struct mirror *m = *state;
	struct late l = { .p = pattern(M2) };
	struct sigaction sa = plain(handler_a);
	struct sigaction old;
	struct hmm_job job = { .size = sizeof(job), .kernel = kernel_late, .arg = &l, .items = 1 };
	char *none = map_aligned(PAGE, PROT_NONE);

	signal(SIGSEGV, SIG_DFL);
	assert_int_equal(hmm_svm_submit(m->svm, &job), 0);
	while (!l.running)
		sched_yield();
	assert_int_equal(hmm_device_sigaction(SIGSEGV, &sa, &old), 0);
	assert_ptr_equal(old.sa_handler, SIG_DFL);
	l.installed = true;
	assert_int_equal(hmm_svm_wait(m->svm, &job, 0), 0);
	assert_int_equal(job.status, -EFAULT);
	assert_int_equal(calls_a, 0);
	crash(none);
	assert_int_equal(calls_a, 1);
	assert_int_equal(hmm_device_sigaction(SIGSEGV, NULL, &old), 0);
	assert_ptr_equal(old.sa_handler, handler_a);
	munmap(l.p, M2);
	munmap(none, PAGE);
}

static void other_signals_are_not_the_librarys(void **state)
{
	char *p = pattern(M2);
	struct span s = { .va = at(p), .len = 1, .prot = PROT_READ };
	struct sigaction sa = plain(handler_a);
	struct sigaction old = sa;
	pid_t pid;
	int status;

	assert_int_equal(hmm_device_sigaction(SIGFPE, &sa, &old), -ENOENT);
	assert_int_equal(hmm_device_sigaction(0, &sa, NULL), -ENOENT);
	assert_int_equal(hmm_device_sigaction(-1, NULL, NULL), -ENOENT);
	assert_int_equal(hmm_device_sigaction(INT32_MAX, &sa, NULL), -ENOENT);
	assert_ptr_equal(old.sa_handler, handler_a);
	/* The device is in front; in a child that has none it is not. */
	assert_int_equal(run(*state, kernel_touch, &s, 1), 0);
	assert_int_equal(hmm_device_sigaction(SIGSEGV, NULL, NULL), 0);
	pid = fork();
	if (pid == 0)
		_exit(hmm_device_sigaction(SIGSEGV, &sa, &old) == -ENOENT ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	munmap(p, M2);
}

/* ---- as if there were no device -------------------------------------------------------------------- */

/* A probe of memory: a handler for a moment. A job looks meanwhile, and puts the device in front again. */
static void handler_for_a_moment_is_gone_when_the_old_one_is_put_back(void **state)
{
	struct mirror *m = *state;
	char *p = pattern(M2);
	char *none = map_aligned(PAGE, PROT_NONE);
	struct span s = { .va = at(p), .len = 1, .prot = PROT_READ };
	struct sigaction a = plain(handler_a);
	struct sigaction b = plain(handler_b);
	struct sigaction old;

	sigaction(SIGSEGV, &a, NULL);
	assert_int_equal(run(m, kernel_touch, &s, 1), 0);
	sigaction(SIGSEGV, &b, &old);
	assert_int_equal(run(m, kernel_touch, &s, 1), 0);
	crash(none);
	assert_int_equal(calls_b, 1);
	sigaction(SIGSEGV, &old, NULL);
	crash(none);
	assert_int_equal(calls_b, 1);
	assert_int_equal(calls_a, 1);
	munmap(p, M2);
	munmap(none, PAGE);
}

/* How a child ends that does this with a device open. */
static int ending(void (*fn)(char *none))
{
	char *none = map_aligned(PAGE, PROT_NONE);
	int status;
	pid_t pid;

#ifdef __SANITIZE_THREAD__
	print_message("ThreadSanitizer allows no threads in a child\n");
	skip();
#endif
	pid = fork();
	if (pid == 0) {
		struct mirror m;

		signal(SIGSEGV, SIG_DFL); /* the test framework has one */
		mirror_open(&m, "soft", 1, NULL);
		alarm(20);
		fn(none);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	munmap(none, PAGE);
	return status;
}

static void says_and_returns(int sig)
{
	calls_a++;
}

static void touch_after_a_handler_for_once(char *none)
{
	struct sigaction sa = { .sa_handler = says_and_returns, .sa_flags = (int)SA_RESETHAND };

	hmm_device_sigaction(SIGSEGV, &sa, NULL);
	*(volatile char *)none = 1;
}

static void handler_for_once_is_called_once(void **state)
{
	int status = ending(touch_after_a_handler_for_once);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSEGV);
}

static void raise_it(char *none)
{
	signal(SIGSEGV, SIG_DFL);
	raise(SIGSEGV);
}

static void raise_it_with_the_device_in_front(char *none)
{
	raise(SIGSEGV);
}

static void signal_that_was_sent_kills(void **state)
{
	int status = ending(raise_it);

	assert_true(WIFSIGNALED(status));
	status = ending(raise_it_with_the_device_in_front);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSEGV);
}

static void raise_what_is_ignored(char *none)
{
	struct sigaction sa = plain(SIG_IGN);

	hmm_device_sigaction(SIGSEGV, &sa, NULL);
	raise(SIGSEGV);
}

static void signal_that_was_sent_and_is_ignored_is_ignored(void **state)
{
	assert_int_equal(ending(raise_what_is_ignored), 0);
}

#define Q(name) cmocka_unit_test_setup_teardown(name, open_quiet, close_quiet)

int main(void)
{
	const struct CMUnitTest tests[] = {
		Q(handler_from_a_running_job_is_chained_after_some_loads),
		Q(handler_that_is_installed_through_the_library_is_behind_at_once),
		Q(other_signals_are_not_the_librarys),
		Q(handler_for_a_moment_is_gone_when_the_old_one_is_put_back),
		Q(handler_for_once_is_called_once),
		Q(signal_that_was_sent_kills),
		Q(signal_that_was_sent_and_is_ignored_is_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
