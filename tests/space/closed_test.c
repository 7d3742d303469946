// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The program closes descriptors that it does not know, filters system calls, cancels threads. */
#include "common/space.h"
#include "base/deadline.h"

#include <hmm/range.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "kernel/abi/uffd.h"

#define PIPES 8

/* In a child: the test's own descriptors stay what they are. */
static void in_child(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		alarm(50);
		_exit(fn());
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

#define REQUIRE(cond)                                                                              \
	do {                                                                                       \
		if (!(cond))                                                                       \
			return __LINE__ & 0x7f ? __LINE__ & 0x7f : 1;                              \
	} while (0)

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1U << 1)
#endif

/* Waits for ever, with the table of descriptors that the process had at first. */
static void *read_byte(void *arg)
{
	char byte;

	return read(*(int *)arg, &byte, 1) == 1 ? arg : NULL;
}

static int close_all(void)
{
	int pipes[PIPES][2];
	struct hmm_mm_info info = { .size = sizeof(info) };
	char text[256] = "the program's";
	struct space s;
	uint64_t seq;

	space_open(&s, 4, 0);
	seq = hmm_interval_read_begin(s.ni);
	REQUIRE(!hmm_interval_stale(s.ni, seq));
	REQUIRE(!syscall(SYS_close_range, 3, ~0U, 0));
	for (int i = 0; i < PIPES; i++) {
		REQUIRE(!pipe2(pipes[i], O_NONBLOCK));
		REQUIRE(write(pipes[i][1], text, sizeof(text)) == sizeof(text));
	}
	/* to numbers that the library had, too */
	for (int fd = 900; fd < 1000; fd++)
		REQUIRE(dup2(pipes[0][0], fd) == fd);
	munmap(s.p, PAGE); /* waits for nobody */
	REQUIRE(hmm_interval_stale(s.ni, seq));
	REQUIRE(hmm_mm_barrier(s.mm, HMM_FOREVER) == -ESRCH);
	REQUIRE(hmm_mm_check_files(s.mm) == -ESRCH);
	for (int i = 0; i < 20000 && !s.seen.events[HMM_EVENT_RELEASE]; i++)
		sleep_ms(1);
	REQUIRE(s.seen.events[HMM_EVENT_RELEASE] == 1);
	REQUIRE(!hmm_mm_get_info(s.mm, &info) && info.lost);
	hmm_interval_notifier_remove(s.ni);
	hmm_mm_detach(s.mm);
	for (int i = 0; i < PIPES; i++)
		REQUIRE(read(pipes[i][0], text, sizeof(text)) == sizeof(text));
	for (int fd = 900; fd < 1000; fd++)
		REQUIRE(fcntl(fd, F_GETFD) >= 0);
	return 0;
}

/*
 * While nothing happens to mirrored memory: what readable or writable files answer to a poll tells
 * that they are none of ours, so that not one byte of theirs is read.
 */
static int only_polled(int other, bool written)
{
	char text[16] = "the program's";
	struct space s;

	space_open(&s, 4, 0);
	REQUIRE(dup2(other, s.mm->provider.fd.fd) >= 0);
	munmap(s.p, PAGE); /* the event of our userfaultfd wakes the pump */
	for (int i = 0; i < 20000 && !s.seen.events[HMM_EVENT_RELEASE]; i++)
		sleep_ms(1);
	REQUIRE(s.seen.events[HMM_EVENT_RELEASE] == 1);
	space_close(&s);
	REQUIRE(!written || read(other, text, sizeof(text)) > 0);
	return 0;
}

static int a_pipe(void)
{
	int fds[2];

	REQUIRE(!pipe2(fds, O_NONBLOCK) && write(fds[1], "1", 1) == 1);
	return only_polled(fds[0], true);
}

static int an_eventfd(void)
{
	return only_polled(eventfd(1, EFD_NONBLOCK), true);
}

static int a_writable_pipe(void)
{
	int fds[2];

	REQUIRE(!pipe2(fds, O_NONBLOCK));
	return only_polled(fds[1], false);
}

static void what_is_polled_in_the_place_of_ours_is_not_read(void **state)
{
	in_child(a_pipe);
	in_child(an_eventfd);
	in_child(a_writable_pipe);
}

static void a_program_that_closes_all_descriptors_loses_the_space_and_nothing_else(void **state)
{
	in_child(close_all);
}

/* A userfaultfd of the program's under our number answers the probe as ours would. */
static int other_uffd(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct space s;
	uint64_t seq;
	int fd;
	int accepted = 0;

	space_open(&s, 4, 0);
	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	REQUIRE(fd >= 0 && !ioctl(fd, UFFDIO_API, &api));
	seq = hmm_interval_read_begin(s.ni);
	REQUIRE(dup2(fd, s.mm->provider.fd.fd) >= 0);
	while (accepted < 1000 && !hmm_interval_stale(s.ni, seq))
		accepted++;
	REQUIRE(accepted < 64); /* one probe in so many looks whose it is */
	REQUIRE(hmm_mm_barrier(s.mm, HMM_FOREVER) == -ESRCH);
	REQUIRE(hmm_mm_note(s.mm, HMM_NOTE_PROTECT, addr(&s, 0), addr(&s, 1)) == -ESRCH);
	space_close(&s);
	REQUIRE(fcntl(fd, F_GETFD) >= 0);
	return 0;
}

static void another_userfaultfd_in_the_place_of_ours_is_recognised(void **state)
{
	in_child(other_uffd);
}

static int refuse_the_probe(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)UFFDIO_WRITEPROTECT, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(filter) / sizeof(filter[0]), filter };
	uint64_t pfns[1] = { 0 };
	struct hmm_range range = { .size = sizeof(range), .hmm_pfns = pfns };
	struct space s;
	uint64_t seq;

	space_open(&s, 4, 0);
	seq = hmm_interval_read_begin(s.ni);
	REQUIRE(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	REQUIRE(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
	REQUIRE(hmm_interval_stale(s.ni, seq));
	REQUIRE(hmm_mm_barrier(s.mm, HMM_FOREVER) == -EPERM);
	range.notifier = s.ni;
	range.start = addr(&s, 0);
	range.end = addr(&s, 1);
	range.default_flags = HMM_PFN_REQ_FAULT;
	REQUIRE(hmm_range_fault(&range, HMM_FOREVER) == -EPERM);
	return 0;
}

static void a_probe_that_says_neither_yes_nor_no_is_not_believed(void **state)
{
	in_child(refuse_the_probe);
}

/*
 * ---- filters of system calls -------------------------------------------------------------------
 */

/* From now on the system call fails with EPERM: in this thread, or in all that live. */
static int refuse(long nr, unsigned int flags)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(filter) / sizeof(filter[0]), filter };

	REQUIRE(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	REQUIRE(!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog));
	return 0;
}

static int fault_first(struct space *s, uint64_t request)
{
	uint64_t pfn = 0;
	struct hmm_range range = { .size = sizeof(range),
				   .notifier = s->ni,
				   .start = addr(s, 0),
				   .end = addr(s, 1),
				   .hmm_pfns = &pfn,
				   .default_flags = HMM_PFN_REQ_FAULT | request };

	return hmm_range_fault(&range, HMM_FOREVER);
}

static int no_populating(void)
{
	struct space s;

	space_open(&s, 4, 0);
	munmap(s.p, s.bytes);
	s.p = mmap(s.p, s.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		   -1, 0);
	REQUIRE(!refuse(SYS_madvise, 0));
	REQUIRE(fault_first(&s, 0) == -EPERM);
	REQUIRE(fault_first(&s, HMM_PFN_REQ_WRITE) == -EPERM);
	space_close(&s);
	return 0;
}

static void a_fault_that_may_not_populate_ends(void **state)
{
	in_child(no_populating);
}

struct filtered {
	struct space s;
	long nr[2]; /* 0: none */
	uint64_t seq;
	int failed;
};

static void *detach_filtered(void *arg)
{
	struct filtered *f = arg;

	for (int i = 0; i < 2; i++)
		f->failed |= f->nr[i] && refuse(f->nr[i], 0);
	hmm_mm_detach(f->s.mm);
	return NULL;
}

static int detach_without(long first, long second)
{
	struct filtered f = { .nr = { first, second } };
	pthread_t t;

	space_open(&f.s, 4, 0);
	REQUIRE(!fault_first(&f.s, 0));
	hmm_interval_notifier_remove(f.s.ni);
	REQUIRE(!pthread_create(&t, NULL, detach_filtered, &f));
	pthread_join(t, NULL);
	REQUIRE(!f.failed);
	REQUIRE(!munmap(f.s.p, f.s.bytes)); /* waits for nobody */
	return 0;
}

static int detach_without_ioctl(void)
{
	return detach_without(SYS_ioctl, 0);
}

static int detach_without_write(void)
{
	return detach_without(SYS_write, SYS_sendto);
}

static int detach_without_stat(void)
{
	return detach_without(SYS_newfstatat, SYS_fstat);
}

static void detaching_ends_whatever_a_filter_refuses(void **state)
{
	in_child(detach_without_ioctl);
	in_child(detach_without_write);
	in_child(detach_without_stat);
}

static void *look_filtered(void *arg)
{
	struct filtered *f = arg;

	f->failed = refuse(SYS_newfstatat, 0) | refuse(SYS_fstat, 0) | refuse(SYS_statx, 0);
	/* every so often a probe looks whose descriptor it is */
	for (int i = 0; i < 200; i++)
		hmm_interval_stale(f->s.ni, f->seq);
	return NULL;
}

static int one_thread(void)
{
	struct hmm_mm_info info = { .size = sizeof(info) };
	struct filtered f = { .failed = 0 };
	pthread_t t;

	space_open(&f.s, 4, 0);
	f.seq = hmm_interval_read_begin(f.s.ni);
	REQUIRE(!pthread_create(&t, NULL, look_filtered, &f));
	pthread_join(t, NULL);
	REQUIRE(!f.failed);
	REQUIRE(!hmm_mm_get_info(f.s.mm, &info) && !info.lost);
	REQUIRE(!fault_first(&f.s, 0));
	space_close(&f.s);
	return 0;
}

static void a_filter_of_one_thread_costs_the_others_nothing(void **state)
{
	in_child(one_thread);
}

static int pump_without_poll(void)
{
	struct space s;

	space_open(&s, 4, 0);
	REQUIRE(!fault_first(&s, 0));
#ifdef SYS_poll
	REQUIRE(!refuse(SYS_poll, SECCOMP_FILTER_FLAG_TSYNC));
#endif
	for (int i = 0; i < 3; i++) {
		REQUIRE(!madvise(s.p, PAGE, MADV_DONTNEED));
		REQUIRE(!hmm_mm_barrier(s.mm, HMM_FOREVER));
	}
	space_close(&s);
	return 0;
}

static int pump_without_read(void)
{
	struct space s;

	space_open(&s, 4, 0);
	REQUIRE(!fault_first(&s, 0));
	REQUIRE(!refuse(SYS_read, SECCOMP_FILTER_FLAG_TSYNC));
	REQUIRE(!munmap(s.p, PAGE)); /* goes on */
	REQUIRE(hmm_mm_barrier(s.mm, HMM_FOREVER) == -ESRCH);
	REQUIRE(!munmap(s.p + PAGE, PAGE));
	for (int i = 0; i < 20000 && !s.seen.events[HMM_EVENT_RELEASE]; i++)
		sleep_ms(1);
	REQUIRE(s.seen.events[HMM_EVENT_RELEASE] == 1);
	space_close(&s);
	return 0;
}

static void a_filter_of_all_threads_loses_the_space_at_most(void **state)
{
	in_child(pump_without_poll);
	in_child(pump_without_read);
}

/* Reading the event of a fork makes a descriptor, which the limit no longer allows. */
static int fork_at_the_limit(void)
{
	struct hmm_mm_info info = { .size = sizeof(info) };
	struct rlimit limit;
	struct space s;
	pid_t pid;

	space_open(&s, 4, 0);
	REQUIRE(!fault_first(&s, 0));
	REQUIRE(!hmm_mm_get_info(s.mm, &info) && !getrlimit(RLIMIT_NOFILE, &limit));
	if (!info.event_fork || !info.keeper)
		return 0;
	limit.rlim_cur = (rlim_t)s.mm->provider.spare.fd;
	REQUIRE(!setrlimit(RLIMIT_NOFILE, &limit));
	pid = fork();
	if (!pid)
		_exit(0);
	REQUIRE(waitpid(pid, NULL, 0) == pid);
	REQUIRE(!hmm_mm_barrier(s.mm, HMM_FOREVER));
	space_close(&s);
	return 0;
}

static void a_fork_goes_on_though_no_descriptor_is_allowed(void **state)
{
	in_child(fork_at_the_limit);
}

/*
 * ---- some descriptors, or in one thread --------------------------------------------------------
 */

static int ours_nr;

/* Closes one of the descriptors that attaching has opened. */
static int close_one(void)
{
	struct space s;
	int left = ours_nr;
	int fd;

	space_open(&s, 4, 0);
	REQUIRE(!fault_first(&s, 0));
	for (fd = 900; fd < 1000; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 && !left--)
			break;
	}
	if (fd == 1000)
		ours_nr = -1;
	else /* not libc's, whose stand-in in ThreadSanitizer takes this for a race, as it is */
		REQUIRE(!syscall(SYS_close, fd));
	REQUIRE(!munmap(s.p, PAGE));
	if (ours_nr >= 0)
		hmm_mm_note(s.mm, HMM_NOTE_PROTECT, addr(&s, 1), addr(&s, 2));
	hmm_interval_notifier_remove(s.ni);
	hmm_mm_detach(s.mm);
	REQUIRE(!munmap(s.p + PAGE, PAGE));
	return ours_nr < 0 ? 111 : 0;
}

static void any_descriptor_that_is_closed_harms_nobody(void **state)
{
	int status = 0;

	for (ours_nr = 0; !status; ours_nr++) {
		const pid_t pid = fork();

		if (!pid) {
			alarm(50);
			_exit(close_one());
		}
		waitpid(pid, &status, 0);
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 111); /* there are no more */
	assert_true(ours_nr > 4);
}

/* The other threads keep the table in which our descriptors are. */
static int own_table(void)
{
	struct space s;
	pthread_t other;
	int pipes[2];

	space_open(&s, 4, 0);
	REQUIRE(!fault_first(&s, 0));
	REQUIRE(!pipe(pipes));
	REQUIRE(!pthread_create(&other, NULL, read_byte, &pipes[0]));
	REQUIRE(!syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_UNSHARE));
	REQUIRE(hmm_mm_barrier(s.mm, HMM_FOREVER) == -ESRCH);
	hmm_interval_notifier_remove(s.ni);
	hmm_mm_detach(s.mm);
	REQUIRE(!munmap(s.p, s.bytes)); /* waits for nobody */
	return 0;
}

static void a_thread_with_a_table_of_its_own_may_close_and_detach(void **state)
{
	in_child(own_table);
}

/* Data that comes to a file under our number after the space is lost. */
static int read_later(void)
{
	char text[16] = "the program's";
	struct space s;
	int fds[2];
	int fd;

	space_open(&s, 4, 0);
	fd = s.mm->provider.fd.fd;
	REQUIRE(!pipe2(fds, O_NONBLOCK) && dup2(fds[0], fd) >= 0);
	for (int i = 0; i < 20000 && !atomic_load(&s.mm->lost); i++)
		sleep_ms(1);
	REQUIRE(atomic_load(&s.mm->lost));
	REQUIRE(write(fds[1], text, sizeof(text)) == sizeof(text));
	sleep_ms(400); /* many looks of the watchdog */
	REQUIRE(read(fds[0], text, sizeof(text)) == sizeof(text));
	space_close(&s);
	REQUIRE(fcntl(fd, F_GETFD) >= 0);
	return 0;
}

static void nothing_is_read_once_the_space_is_lost(void **state)
{
	in_child(read_later);
}

/* Two find at the same moment that a space is lost: the pump, and a call of the program's. */
struct finders {
	struct hmm_mm mm;
	_Atomic int ready;
	_Atomic int alive; /* calls that would have gone on */
};

static void *find(void *arg)
{
	struct finders *f = arg;

	f->ready++;
	while (f->ready < 2)
		;
	mm_lost(&f->mm);
	f->alive += !mm_alive(&f->mm);
	return NULL;
}

static void whoever_finds_a_space_lost_finds_it_dead(void **state)
{
	const uint64_t end = clock_ns() + 20000000000ULL;
	struct space s;

	(void)state;
	space_open(&s, 4, 0);
	for (int i = 0; i < 2000 && (i < 50 || clock_ns() < end); i++) {
		struct finders f = { .mm = { .epoch = s.mm->epoch, .stopping = 1 } };
		pthread_t t;

		assert_int_equal(mm_alive(&f.mm), 0);
		assert_int_equal(pthread_create(&t, NULL, find, &f), 0);
		find(&f);
		pthread_join(t, NULL);
		assert_int_equal(f.alive, 0);
	}
	space_close(&s);
}

/*
 * ---- cancellation ------------------------------------------------------------------------------
 */

struct caller {
	struct space *s;
	_Atomic int calls;
};

static void *fault_for_ever(void *arg)
{
	struct caller *c = arg;
	uint64_t pfns[4];
	struct hmm_range range = {
		.size = sizeof(range),
		.start = addr(c->s, 0),
		.end = addr(c->s, 4),
		.notifier = c->s->ni,
		.hmm_pfns = pfns,
		.default_flags = HMM_PFN_REQ_FAULT,
	};

	for (;; c->calls++) {
		memset(pfns, 0, sizeof(pfns));
		hmm_range_fault(&range, HMM_FOREVER);
		hmm_mm_check_files(c->s->mm);
		hmm_mm_barrier(c->s->mm, HMM_FOREVER);
	}
	return NULL;
}

/* Whatever call comes first notices that, not the pump. */
static int call_at_once_with(uint32_t flags)
{
	uint64_t pfn = 0;
	struct hmm_range range;
	struct space s;

	space_open(&s, 4, flags);
	range = (struct hmm_range){ .size = sizeof(range),
				    .notifier = s.ni,
				    .start = (uintptr_t)s.p,
				    .end = (uintptr_t)s.p + PAGE,
				    .hmm_pfns = &pfn,
				    .default_flags = HMM_PFN_REQ_FAULT };
	REQUIRE(!syscall(SYS_close_range, 3, ~0U, 0));
	REQUIRE(hmm_range_watch(&range, HMM_FOREVER) == -ESRCH);
	REQUIRE(hmm_range_fault(&range, HMM_FOREVER) == -ESRCH);
	hmm_interval_notifier_remove(s.ni);
	hmm_mm_detach(s.mm);
	return 0;
}

static int call_at_once(void)
{
	return call_at_once_with(0);
}

/* There the mappings are read as text. */
static int call_at_once_reduced(void)
{
	return call_at_once_with(HMM_MM_NO_WP_ASYNC | HMM_MM_NO_PAGEMAP_SCAN |
				 HMM_MM_NO_PROCMAP_QUERY);
}

static void a_call_that_meets_closed_descriptors_says_that_the_space_is_gone(void **state)
{
	(void)state;
	in_child(call_at_once);
	in_child(call_at_once_reduced);
}

static void a_cancelled_thread_leaves_no_lock_held(void **state)
{
	const uint64_t end = clock_ns() + 20000000000ULL;
	struct space s;

	space_open(&s, 4, 0);
	munmap(s.p, s.bytes);
	s.p = mmap(s.p, s.bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1,
		   0);
	alarm(50);
	for (int i = 0; i < 200 && (i < 20 || clock_ns() < end); i++) {
		struct caller c = { .s = &s };
		pthread_t t;

		pthread_create(&t, NULL, fault_for_ever, &c);
		while (c.calls < 1 + i % 3)
			sched_yield();
		pthread_cancel(t);
		pthread_join(t, NULL);
		assert_int_equal(hmm_mm_barrier(s.mm, HMM_FOREVER), 0);
		assert_true(hmm_mm_check_files(s.mm) >= 0);
	}
	assert_int_equal(madvise(s.p, PAGE, MADV_DONTNEED), 0);
	alarm(0);
	space_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_program_that_closes_all_descriptors_loses_the_space_and_nothing_else),
		cmocka_unit_test(what_is_polled_in_the_place_of_ours_is_not_read),
		cmocka_unit_test(another_userfaultfd_in_the_place_of_ours_is_recognised),
		cmocka_unit_test(a_probe_that_says_neither_yes_nor_no_is_not_believed),
		cmocka_unit_test(a_call_that_meets_closed_descriptors_says_that_the_space_is_gone),
		cmocka_unit_test(a_fault_that_may_not_populate_ends),
		cmocka_unit_test(detaching_ends_whatever_a_filter_refuses),
		cmocka_unit_test(a_filter_of_one_thread_costs_the_others_nothing),
		cmocka_unit_test(a_filter_of_all_threads_loses_the_space_at_most),
		cmocka_unit_test(a_fork_goes_on_though_no_descriptor_is_allowed),
		cmocka_unit_test(any_descriptor_that_is_closed_harms_nobody),
		cmocka_unit_test(a_thread_with_a_table_of_its_own_may_close_and_detach),
		cmocka_unit_test(nothing_is_read_once_the_space_is_lost),
		cmocka_unit_test(whoever_finds_a_space_lost_finds_it_dead),
		cmocka_unit_test(a_cancelled_thread_leaves_no_lock_held),
	};

	return cmocka_run_group_tests_name("closed", tests, NULL, NULL);
}
