// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* After a space is detached nothing is valid and nothing is left; meanwhile nothing hangs. */
#include "common/child.h"
#include "common/space.h"

#include "kernel/abi/uffd.h"

#include <errno.h>
#include <stdlib.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct ending {
	struct hmm_mm *mm;
	struct hmm_interval_notifier *ni;
	_Atomic bool told, asked;
	bool valid;
};

static void nothing_to_quiesce(void *priv)
{
}

/* Drivers were told of the end; the space is still being taken down. */
static void wait_until_asked(void *priv)
{
	struct ending *e = priv;

	e->told = true;
	while (!e->asked)
		sched_yield();
}

static void *ask_after_the_end(void *arg)
{
	struct ending *e = arg;

	while (!e->told)
		sched_yield();
	e->valid = !hmm_interval_stale(e->ni, hmm_interval_read_begin(e->ni));
	e->asked = true;
	return NULL;
}

static void nothing_is_valid_after_release(void **state)
{
	static const struct hmm_quiescer_ops ops = { sizeof(ops), nothing_to_quiesce,
						     wait_until_asked };
	struct hmm_quiescer *q;
	struct ending e = { .told = false };
	pthread_t other;
	struct space s;

	space_open(&s, 4, 0);
	e.ni = s.ni;
	assert_int_equal(hmm_quiescer_add(s.mm, &ops, &e, &q), 0);
	assert_int_equal(pthread_create(&other, NULL, ask_after_the_end, &e), 0);
	hmm_mm_detach(s.mm);
	pthread_join(other, NULL);
	assert_false(e.valid);
	hmm_quiescer_remove(q);
	hmm_interval_notifier_remove(s.ni);
	munmap(s.p, s.bytes);
}

void __real_regions_fini(struct hmm_mm *mm);
void __wrap_regions_fini(struct hmm_mm *mm);

static struct space *unmapped_late;

void __wrap_regions_fini(struct hmm_mm *mm)
{
	pthread_t other;

	if (unmapped_late) {
		pthread_create(&other, NULL, unmap_first_page, unmapped_late);
		pthread_join(other, NULL);
	}
	__real_regions_fini(mm);
}

/*
 * Nothing is valid any more, and events are read all the same: a thread of the library that ends
 * unmaps its stack.
 */
static void what_is_unmapped_during_the_detach_is_read(void **state)
{
	struct space s;

	space_open(&s, 4, 0);
	unmapped_late = &s;
	alarm(50);
	hmm_mm_detach(s.mm);
	alarm(0);
	unmapped_late = NULL;
	hmm_interval_notifier_remove(s.ni);
	munmap(s.p, s.bytes);
}

int __real_provider_uffd_read_fork(int fd, struct provider_event *events, int max);
int __wrap_provider_uffd_read_fork(int fd, struct provider_event *events, int max);
void __real_ownthread_join(struct ownthread *t);
void __wrap_ownthread_join(struct ownthread *t);

static struct {
	_Atomic(struct hmm_mm *) mm; /* whose events are not read before it ends; NULL: none */
	_Atomic bool forked;
	bool late;
} unread;

int __wrap_provider_uffd_read_fork(int fd, struct provider_event *events, int max)
{
	if (unread.mm && !atomic_load(&unread.mm->stopping)) {
		sleep_ms(1);
		return 0;
	}
	return __real_provider_uffd_read_fork(fd, events, max);
}

/* What joining frees may wait for a lock that the fork holds. */
void __wrap_ownthread_join(struct ownthread *t)
{
	while (unread.mm && t == &unread.mm->pump && pthread_tryjoin_np(t->id, NULL))
		sleep_ms(1);
	if (unread.mm && t == &unread.mm->pump) {
		for (int ms = 0; ms < 20000 && !atomic_load(&unread.forked); ms++)
			sleep_ms(1);
		unread.late = !atomic_load(&unread.forked);
		return;
	}
	__real_ownthread_join(t);
}

static void *fork_now(void *arg)
{
	const pid_t pid = (pid_t)syscall(SYS_fork);

	if (!pid)
		syscall(SYS_exit_group, 0);
	atomic_store(&unread.forked, true);
	waitpid(pid, NULL, 0);
	return NULL;
}

static void a_fork_in_flight_has_gone_on_before_the_pump_is_joined(void **state)
{
	struct pollfd p = { .events = POLLIN };
	pthread_t forks;
	struct space s;

	space_open(&s, 4, 0);
	p.fd = s.mm->provider.fd.fd;
	unread.mm = s.mm;
	pthread_create(&forks, NULL, fork_now, NULL);
	/* On a busy machine a thief may have read before this thread looks. */
	while (!atomic_load(&unread.forked) && poll(&p, 1, 10) != 1)
		;
	hmm_mm_detach(s.mm);
	unread.mm = NULL;
	pthread_join(forks, NULL);
	assert_false(unread.late);
	hmm_interval_notifier_remove(s.ni);
	munmap(s.p, s.bytes);
}

static void attach_and_detach_leak_no_descriptor(void **state)
{
	int before = dup(0);
	int after;

	for (int i = 0; i < 20; i++) {
		struct space s;

		space_open(&s, 4, 0);
		space_close(&s);
	}
	after = dup(0);
	assert_int_equal(after, before + 1);
	close(before);
	close(after);
}

/* A log that cannot be had is an error if it was asked for, and a reason if it was not. */
static void a_log_is_had_or_missed(void **state)
{
	struct hmm_mm_options o = HMM_MM_OPTIONS_INIT;
	struct hmm_mm_info info = { .size = sizeof(info) };
	struct hmm_mm *mm;

	setenv("HMM_WATCHD", "/nowhere/socket", 1);
	unsetenv("LIBHMM_PROVIDER");
	assert_int_equal(hmm_mm_attach(&o, &mm), 0);
	assert_int_equal(hmm_mm_get_info(mm, &info), 0);
	assert_int_equal(info.provider, HMM_PROVIDER_UFFD);
	assert_int_equal(info.provider_error, -ENOENT);
	hmm_mm_detach(mm);
	o.provider = HMM_PROVIDER_BOTH + 1;
	assert_int_equal(hmm_mm_attach(&o, &mm), -EINVAL);
	o.provider = HMM_PROVIDER_UFFD;
	assert_int_equal(hmm_mm_attach(&o, &mm), 0);
	assert_int_equal(hmm_mm_get_info(mm, &info), 0);
	assert_int_equal(info.provider_error, 0);
	hmm_mm_detach(mm);
	o.provider = HMM_PROVIDER_AUTO;
	setenv("LIBHMM_PROVIDER", "nonsense", 1);
	assert_int_equal(hmm_mm_attach(&o, &mm), -EINVAL);
	unsetenv("LIBHMM_PROVIDER");
	unsetenv("HMM_WATCHD");
}

static int attach_by(int maps, int pagemap)
{
	struct hmm_mm_options o = HMM_MM_OPTIONS_INIT;
	struct hmm_mm *mm;
	int err;

	o.maps_fd = maps;
	o.pagemap_fd = pagemap;
	err = hmm_mm_attach(&o, &mm);
	if (!err)
		hmm_mm_detach(mm);
	return err;
}

/* Else another process's mappings would be believed. */
static void descriptors_that_show_something_else_are_refused(void **state)
{
	const int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	const int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char path[32];
	pid_t child = fork_tied();
	int other;

	if (!child) {
		pause();
		_exit(0);
	}
	snprintf(path, sizeof(path), "/proc/%d/maps", child);
	other = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(attach_by(maps, pagemap), 0);
	assert_int_equal(attach_by(maps, -1), 0);
	assert_int_equal(attach_by(null, -1), -EINVAL);
	assert_int_equal(attach_by(-1, null), -EINVAL);
	assert_int_equal(attach_by(other, -1), -EINVAL);
	assert_int_equal(attach_by(1000000, -1), -EINVAL);
	assert_int_equal(attach_by(-1, 1000000), -EINVAL);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(other);
	close(null);
	close(pagemap);
	close(maps);
}

/* A child makes a userfaultfd and passes it on. Returns the child. */
static pid_t get_uffd_of_child(int *fd)
{
	char space[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = { 0 };
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = space,
			      .msg_controllen = sizeof(space) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int pair[2];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid = fork();
	if (!pid) {
		int uffd = (int)syscall(SYS_userfaultfd, O_NONBLOCK | UFFD_USER_MODE_ONLY);

		*c = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(c), &uffd, sizeof(uffd));
		alarm(100); /* if the test fails it must not stay */
		sendmsg(pair[1], &msg, 0);
		pause();
	}
	assert_int_equal(recvmsg(pair[0], &msg, 0), 1);
	memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(*fd));
	close(pair[0]);
	close(pair[1]);
	return pid;
}

static void a_userfaultfd_of_another_process_is_refused(void **state)
{
	struct hmm_mm_options options = HMM_MM_OPTIONS_INIT;
	struct hmm_mm_info info = { .size = sizeof(info) };
	struct hmm_mm *mm;
	pid_t pid;

	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	assert_int_equal(hmm_mm_get_info(mm, &info), 0);
	hmm_mm_detach(mm);
	if (!info.pagemap_scan || !info.wp_async)
		skip(); /* nothing tells whose memory is registered */
	pid = get_uffd_of_child(&options.uffd);
	assert_true(options.uffd >= 0);
	assert_int_equal(hmm_mm_attach(&options, &mm), -EINVAL);
	assert_true(fcntl(options.uffd, F_GETFD) >= 0); /* it stays the caller's */
	close(options.uffd);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_valid_after_release),
		cmocka_unit_test(what_is_unmapped_during_the_detach_is_read),
		cmocka_unit_test(a_fork_in_flight_has_gone_on_before_the_pump_is_joined),
		cmocka_unit_test(attach_and_detach_leak_no_descriptor),
		cmocka_unit_test(a_log_is_had_or_missed),
		cmocka_unit_test(descriptors_that_show_something_else_are_refused),
		cmocka_unit_test(a_userfaultfd_of_another_process_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
