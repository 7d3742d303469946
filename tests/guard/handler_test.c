// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Handlers of SIGSEGV and SIGBUS that the program installs, replaces and puts back beside guarded
 * accesses: faults of these are none of theirs, and all others are, as if there were no library.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include "common/guarded.h"

static sigjmp_buf landing;
static volatile sig_atomic_t calls_a, calls_b;
static void *volatile addr_a;

static void handler_a(int sig, siginfo_t *info, void *context)
{
	calls_a++;
	addr_a = info->si_addr;
	siglongjmp(landing, 1);
}

static void handler_b(int sig)
{
	calls_b++;
	siglongjmp(landing, 1);
}

static const struct sigaction action_a = { .sa_sigaction = handler_a, .sa_flags = SA_SIGINFO };
static const struct sigaction action_b = { .sa_handler = handler_b };

static void crash(void *where)
{
	if (!sigsetjmp(landing, 1))
		*(volatile char *)where = 1;
}

static int guarded(void *where)
{
	char c;

	return hmm_copy_from_nofault(&c, where, 1, NULL);
}

/* Accesses until the thread has looked at the handlers. */
static void look(void)
{
	char c = 0;

	for (int i = 0; i < 4097; i++)
		hmm_copy_from_nofault(&c, &c, 1, NULL);
}

static int begin(void **state)
{
	calls_a = calls_b = 0;
	*state = map_pages(1, PROT_NONE);
	return 0;
}

static int end(void **state)
{
	munmap(*state, PAGE);
	return 0;
}

/* ---- before and after ---------------------------------------------------------------------- */

TEST(handler_from_before_gets_all_faults_but_the_guarded)
{
	char *none = *state;

	sigaction(SIGSEGV, &action_a, NULL);
	look();
	assert_int_equal(guarded(none), -EFAULT);
	assert_int_equal(calls_a, 0);
	crash(none + 7);
	crash(none + 8);
	assert_int_equal(calls_a, 2);
	assert_ptr_equal(addr_a, none + 8);
}

TEST(handler_from_after_is_behind_within_4096_accesses)
{
	char *none = *state;

	look();
	sigaction(SIGSEGV, &action_a, NULL);
	look();
	assert_int_equal(guarded(none), -EFAULT);
	assert_int_equal(calls_a, 0);
	crash(none);
	assert_int_equal(calls_a, 1);
}

TEST(handler_from_after_is_behind_after_a_large_copy)
{
	const size_t len = 4 << 20;
	char *none = *state, *a = calloc(1, len), *b = malloc(len);

	look();
	sigaction(SIGSEGV, &action_a, NULL);
	assert_int_equal(hmm_copy_from_nofault(b, a, len, NULL), 0);
	assert_int_equal(guarded(none), -EFAULT);
	assert_int_equal(calls_a, 0);
	free(a);
	free(b);
}

TEST(handler_from_after_is_behind_after_4_MiB)
{
	const size_t len = 1 << 20;
	char *none = *state, *a = calloc(1, len), *b = malloc(len);

	look();
	sigaction(SIGSEGV, &action_a, NULL);
	for (int i = 0; i < 4; i++)
		assert_int_equal(hmm_copy_from_nofault(b, a, len, NULL), 0);
	assert_int_equal(guarded(none), -EFAULT);
	assert_int_equal(calls_a, 0);
	free(a);
	free(b);
}

TEST(a_look_puts_it_behind_at_once)
{
	char *none = *state;

	look();
	sigaction(SIGSEGV, &action_a, NULL);
	assert_int_equal(hmm_guard_look(), 0);
	assert_int_equal(guarded(none), -EFAULT);
	assert_int_equal(calls_a, 0);
	crash(none);
	assert_int_equal(calls_a, 1);
}

static void *guarded_on_a_new_thread(void *arg)
{
	return (void *)(intptr_t)guarded(arg);
}

TEST(a_new_thread_looks_before_its_first_access)
{
	pthread_t t;
	void *ret;

	look();
	sigaction(SIGSEGV, &action_a, NULL);
	pthread_create(&t, NULL, guarded_on_a_new_thread, *state);
	pthread_join(t, &ret);
	assert_int_equal((intptr_t)ret, -EFAULT);
	assert_int_equal(calls_a, 0);
}

TEST(handler_through_the_library_is_behind_at_once)
{
	char *none = *state;
	struct sigaction old;

	look();
	assert_int_equal(hmm_guard_sigaction(SIGSEGV, &action_a, &old), 0);
	assert_ptr_equal(old.sa_handler, SIG_DFL);
	assert_int_equal(guarded(none), -EFAULT);
	assert_int_equal(calls_a, 0);
	crash(none);
	assert_int_equal(calls_a, 1);
	assert_int_equal(hmm_guard_sigaction(SIGSEGV, NULL, &old), 0);
	assert_ptr_equal(old.sa_sigaction, handler_a);
}

TEST(both_signals_have_a_chain_of_their_own)
{
	struct sigaction old;

	look();
	assert_int_equal(hmm_guard_sigaction(SIGSEGV, &action_a, NULL), 0);
	assert_int_equal(hmm_guard_sigaction(SIGBUS, &action_b, NULL), 0);
	assert_int_equal(hmm_guard_sigaction(SIGSEGV, NULL, &old), 0);
	assert_ptr_equal(old.sa_sigaction, handler_a);
	assert_int_equal(hmm_guard_sigaction(SIGBUS, NULL, &old), 0);
	assert_ptr_equal(old.sa_handler, handler_b);
}

static void child_asks(char *none)
{
	struct sigaction old;

	if (hmm_guard_sigaction(SIGSEGV, &action_a, &old) != -ENOENT)
		_exit(1);
	if (guarded(none) != -EFAULT)
		_exit(2);
	if (hmm_guard_sigaction(SIGSEGV, &action_a, &old))
		_exit(3);
	crash(none);
	_exit(calls_a == 1 ? 0 : 4);
}

TEST(other_signals_are_not_the_librarys)
{
	struct sigaction old = action_a;

	look();
	assert_int_equal(hmm_guard_sigaction(SIGFPE, &action_a, &old), -ENOENT);
	assert_int_equal(hmm_guard_sigaction(0, &action_a, NULL), -ENOENT);
	assert_int_equal(hmm_guard_sigaction(-1, NULL, NULL), -ENOENT);
	assert_int_equal(hmm_guard_sigaction(INT32_MAX, &action_a, NULL), -ENOENT);
	assert_ptr_equal(old.sa_sigaction, handler_a);
	assert_int_equal(hmm_guard_sigaction(SIGSEGV, NULL, NULL), 0);
}

TEST(a_forked_child_begins_anew)
{
	int status;
	pid_t pid;

	look();
	assert_int_equal(ending(child_asks), 0);
	/* And with the handlers that it inherits. */
	pid = fork();
	if (pid == 0)
		child_asks(*state);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* ---- as if there were no library ----------------------------------------------------------- */

/* A probe of memory: a handler for a moment. The library is put in front again meanwhile. */
TEST(handler_for_a_moment_is_gone_when_the_old_one_is_put_back)
{
	char *none = *state;
	struct sigaction old;

	sigaction(SIGSEGV, &action_a, NULL);
	look();
	sigaction(SIGSEGV, &action_b, &old);
	look();
	crash(none);
	assert_int_equal(calls_b, 1);
	sigaction(SIGSEGV, &old, NULL);
	crash(none);
	assert_int_equal(calls_b, 1);
	assert_int_equal(calls_a, 1);
	assert_int_equal(guarded(none), -EFAULT);
}

static void returns(int sig)
{
	calls_a++;
}

static void touch_after_a_handler_for_once(char *none)
{
	struct sigaction sa = { .sa_handler = returns, .sa_flags = (int)SA_RESETHAND };

	look();
	hmm_guard_sigaction(SIGSEGV, &sa, NULL);
	*(volatile char *)none = 1;
}

TEST(handler_for_once_is_called_once)
{
	assert_killed(ending(touch_after_a_handler_for_once), SIGSEGV);
}

static void touch(char *none)
{
	look();
	*(volatile char *)none = 1;
}

TEST(crash_of_the_program_still_kills_it)
{
	assert_killed(ending(touch), SIGSEGV);
}

static void raise_before(char *none)
{
	look();
	signal(SIGSEGV, SIG_DFL);
	raise(SIGSEGV);
}

static void raise_behind(char *none)
{
	look();
	raise(SIGSEGV);
}

TEST(signal_that_was_sent_kills)
{
	assert_killed(ending(raise_before), SIGSEGV);
	assert_killed(ending(raise_behind), SIGSEGV);
}

/* A signal that was sent says nothing about memory, whatever is in the place of its address. */
static void send_an_address_that_is_guarded(char *none)
{
	struct hmm_guard guard;
	siginfo_t info = { .si_signo = SIGSEGV, .si_code = SI_QUEUE };

	look();
	hmm_guard_sigaction(SIGSEGV, &action_a, NULL);
	if (hmm_guard_landing(&guard))
		_exit(1);
	if (hmm_guard_arm(&guard, none, PAGE))
		_exit(2);
	info.si_addr = none + 8;
	if (!sigsetjmp(landing, 1))
		syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGSEGV, &info);
	_exit(calls_a == 1 && addr_a == none + 8 ? 0 : 3);
}

TEST(signal_that_was_sent_lands_nowhere)
{
	assert_int_equal(ending(send_an_address_that_is_guarded), 0);
}

static void raise_what_is_ignored(char *none)
{
	struct sigaction sa = { .sa_handler = SIG_IGN };

	look();
	hmm_guard_sigaction(SIGSEGV, &sa, NULL);
	raise(SIGSEGV);
}

TEST(signal_that_was_sent_and_is_ignored_is_ignored)
{
	assert_int_equal(ending(raise_what_is_ignored), 0);
}

/* ---- inside a handler of the program's ----------------------------------------------------- */

static volatile sig_atomic_t nested;

static void copies_and_lands(int sig)
{
	nested = guarded(addr_a);
	siglongjmp(landing, 1);
}

TEST(a_handler_without_its_signal_blocked_may_copy)
{
	struct sigaction sa = { .sa_handler = copies_and_lands, .sa_flags = SA_NODEFER };

	needs_faults_in_handlers();
	addr_a = *state;
	sigaction(SIGSEGV, &sa, NULL);
	look();
	nested = 0;
	crash(*state);
	assert_int_equal(nested, -EFAULT);
}

/* ---- where handlers cannot be installed ---------------------------------------------------- */

static void deny_sigaction(char *none)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigaction, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(filter) / sizeof(filter[0]), filter };
	struct hmm_guard guard;
	char c = 0;
	uint64_t value;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &prog))
		_exit(77);
	/* Each access says so, also where the memory is there. */
	for (int i = 0; i < 3; i++)
		if (hmm_copy_from_nofault(&c, &c, 1, NULL) != -EACCES ||
		    hmm_copy_to_nofault(&c, &c, 1, NULL) != -EACCES ||
		    hmm_load_nofault(&c, 1, &value) != -EACCES ||
		    hmm_store_nofault(&c, 1, 1) != -EACCES ||
		    hmm_guard_arm(&guard, none, 1) != -EACCES || hmm_guard_look() != -EACCES)
			_exit(1);
	_exit(0);
}

TEST(without_handlers_each_access_says_so)
{
	int status = ending(deny_sigaction);

	if (status == 77 << 8) {
		print_message("no seccomp filters here\n");
		skip();
	}
	assert_int_equal(status, 0);
}

#define Q(name) cmocka_unit_test_setup_teardown(name, begin, end)

static int run_alone(const struct CMUnitTest *test)
{
	const struct CMUnitTest alone[] = { *test };
	int status;
	pid_t pid = fork();

	if (pid == 0)
		exit(cmocka_run_group_tests_name(test->name, alone, NULL, NULL));
	return waitpid(pid, &status, 0) != pid || status;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		Q(handler_from_before_gets_all_faults_but_the_guarded),
		Q(handler_from_after_is_behind_within_4096_accesses),
		Q(handler_from_after_is_behind_after_a_large_copy),
		Q(handler_from_after_is_behind_after_4_MiB),
		Q(a_look_puts_it_behind_at_once),
		Q(a_new_thread_looks_before_its_first_access),
		Q(handler_through_the_library_is_behind_at_once),
		Q(both_signals_have_a_chain_of_their_own),
		Q(other_signals_are_not_the_librarys),
		Q(a_forked_child_begins_anew),
		Q(handler_for_a_moment_is_gone_when_the_old_one_is_put_back),
		Q(handler_for_once_is_called_once),
		Q(crash_of_the_program_still_kills_it),
		Q(signal_that_was_sent_kills),
		Q(signal_that_was_sent_lands_nowhere),
		Q(signal_that_was_sent_and_is_ignored_is_ignored),
		Q(a_handler_without_its_signal_blocked_may_copy),
		Q(without_handlers_each_access_says_so),
	};

	int failed = 0;

	/* Each in a process of its own: a chain has a limit, and never shrinks. */
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		failed |= run_alone(&tests[i]);
	return failed;
}
