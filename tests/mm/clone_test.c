// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Forks, by libc or by a raw clone, are seen, and in their children the space is refused. */
#include "common/fork.h"
#include "common/space.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static void fork_with(uint32_t flags)
{
	struct space s;
	uint64_t seq;
	int status;
	pid_t pid;

	space_open(&s, 4, flags);
	seq = hmm_interval_read_begin(s.ni);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		int bad = 0;

		bad |= mm_alive(s.mm) != -ESRCH;
		bad |= hmm_mm_barrier(s.mm, HMM_FOREVER) != -ESRCH;
		bad |= !hmm_interval_stale(s.ni, seq);
		bad |= fcntl(s.mm->provider.fd.fd, F_GETFD) >= 0; /* closed here */
		bad |= munmap(s.p, PAGE) != 0;                    /* and nobody is waited for */
		hmm_mm_detach(s.mm);
		_exit(bad);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(s.seen.events[HMM_EVENT_FORK] >= 1);
	assert_true(hmm_interval_stale(s.ni, seq));
	munmap(s.p, PAGE); /* still pumped in the parent */
	settle(&s);
	assert_int_equal(s.seen.events[HMM_EVENT_UNMAP], 1);
	space_close(&s);
}

static void fork_through_libc_is_seen_and_the_child_refuses(void **state)
{
	fork_with(0);
}

static void fork_without_the_event_is_seen_too(void **state)
{
	fork_with(HMM_MM_NO_EVENT_FORK);
}

static void a_raw_clone_is_seen_with_privilege_and_its_child_refuses(void **state)
{
	struct space s;
	int status;
	pid_t pid;

	space_open(&s, 4, 0);
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (!pid)
		_exit(mm_alive(s.mm) != -ESRCH);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	settle(&s);
	assert_int_equal(s.seen.events[HMM_EVENT_FORK], s.mm->provider.event_fork ? 1 : 0);
	space_close(&s);
}

/*
 * fault for writing		program
 * populates
 *				forks: nothing is registered, no event
 * registers
 * takes the page for its own
 */
static void a_raw_clone_before_anything_is_mirrored_is_seen(void **state)
{
	struct hmm_mm *mm;
	pid_t pid;

	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	pid = raw_clone(0);
	if (!pid)
		_exit(0);
	assert_int_equal(status_of(pid), 0);
	assert_int_equal(hmm_mm_barrier(mm, HMM_FOREVER), 0);
	assert_int_equal(mm_forks(mm), mm->provider.event_fork ? 1 : 0);
	hmm_mm_detach(mm);
}

/* Reading the event makes a descriptor: there is room for it. */
static void a_raw_clone_without_a_free_descriptor_returns(void **state)
{
	struct rlimit was, now;
	struct space s;
	int last;
	pid_t pid;

	space_open(&s, 4, 0);
	last = dup(0);
	assert_true(last >= 0);
	close(last);
	getrlimit(RLIMIT_NOFILE, &was);
	now = (struct rlimit){ (rlim_t)last, was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	for (int i = 0; i < 3; i++) {
		pid = raw_clone(0);
		if (!pid)
			_exit(0);
		assert_int_equal(status_of(pid), 0);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	settle(&s);
	assert_int_equal(s.seen.events[HMM_EVENT_FORK], s.mm->provider.event_fork ? 3 : 0);
	space_close(&s);
}

/* A child in which no handler ran has the locks that threads of its parent held, and its spaces. */
static void the_child_of_a_raw_clone_can_fork(void **state)
{
	struct space s;
	pid_t pid;

	space_open(&s, 4, 0);
	pthread_mutex_lock(&s.mm->notifier_lock);
	pid = raw_clone(0);
	if (!pid) {
		alarm(50);
		pid = fork();
		if (!pid)
			_exit(0);
		_exit(pid < 0 || status_of(pid));
	}
	pthread_mutex_unlock(&s.mm->notifier_lock);
	assert_int_equal(status_of(pid), 0);
	space_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fork_through_libc_is_seen_and_the_child_refuses),
		cmocka_unit_test(fork_without_the_event_is_seen_too),
		cmocka_unit_test(a_raw_clone_is_seen_with_privilege_and_its_child_refuses),
		cmocka_unit_test(a_raw_clone_before_anything_is_mirrored_is_seen),
		cmocka_unit_test(the_child_of_a_raw_clone_can_fork),
		cmocka_unit_test(a_raw_clone_without_a_free_descriptor_returns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
