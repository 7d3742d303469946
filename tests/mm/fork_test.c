// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The program forks: beside attaching, faulting and others' handlers, and in callbacks; its
 * children hold no descriptors.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/child.h"
#include "base/nocancel.h"
#include "ptable/ptable.h"
#include "common/fork.h"
#include "common/stands.h"
#include "base/deadline.h"
#include "base/opening.h"

extern char **environ;

/* ---- descriptors ----------------------------------------------------------------------------- */

struct mirrored {
	struct space s;
	int before; /* descriptors that the program itself had */
	void *file;
};

/* A space with all the descriptors that one can have: a file is mirrored, too. */
static void mirrored_open(struct mirrored *m)
{
	struct hmm_interval_notifier *ni;
	uint64_t pfn = 0;
	struct hmm_range r = { .size = sizeof(r), .hmm_pfns = &pfn };
	int fd;

	m->before = count_open();
	space_open(&m->s, 4, 0);
	fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	m->file = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(m->file, MAP_FAILED);
	assert_int_equal(hmm_interval_notifier_insert(m->s.mm, (uint64_t)(uintptr_t)m->file, PAGE,
						      &on_ops, &m->s.seen, &ni),
			 0);
	r.notifier = ni;
	r.start = (uint64_t)(uintptr_t)m->file;
	r.end = r.start + PAGE;
	r.default_flags = HMM_PFN_REQ_FAULT;
	hmm_range_fault(&r, HMM_FOREVER);
	close(fd);
	hmm_interval_notifier_remove(ni);
	assert_true(count_open() >= m->before + 4); /* or this looks at nothing */
}

static void mirrored_close(struct mirrored *m)
{
	munmap(m->file, PAGE);
	space_close(&m->s);
	assert_int_equal(count_open(), m->before);
}

static void a_child_holds_no_descriptor_of_its_parents(void **state)
{
	struct mirrored m;
	pid_t pid;

	(void)state;
	mirrored_open(&m);
	pid = fork();
	if (!pid)
		_exit(count_open() != m.before);
	assert_int_equal(status_of(pid), 0);
	mirrored_close(&m);
}

/* No handler runs in it, so its first call has to do it. */
static void the_child_of_a_raw_clone_closes_them_in_its_first_call(void **state)
{
	struct mirrored m;
	pid_t pid;

	(void)state;
	if (syscall(SYS_kcmp, getpid(), getpid(), 2, 0, 0)) {
		print_message("the kernel does not compare processes: kcmp()\n");
		skip();
	}
	mirrored_open(&m);
	pid = raw_clone(0);
	if (!pid)
		_exit(hmm_mm_barrier(m.s.mm, HMM_FOREVER) != -ESRCH || count_open() != m.before);
	assert_int_equal(status_of(pid), 0);
	mirrored_close(&m);
}

/* The table of descriptors is its parent's. */
static void a_child_that_shares_descriptors_closes_none(void **state)
{
	struct mirrored m;
	uint64_t seq;
	pid_t pid;

	(void)state;
	mirrored_open(&m);
	pid = raw_clone(0x400 /* CLONE_FILES */);
	if (!pid)
		_exit(hmm_mm_barrier(m.s.mm, HMM_FOREVER) != -ESRCH);
	assert_int_equal(status_of(pid), 0);
	assert_int_equal(fault(&m.s, 0, &seq), 0);
	assert_true(stands(m.s.ni, seq));
	mirrored_close(&m);
}

static int spawn_counting(int expected)
{
	char number[16];
	char *argv[] = { (char *)"fork_test", (char *)"count", number, NULL };
	pid_t pid;

	snprintf(number, sizeof(number), "%d", expected);
	assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
	return status_of(pid);
}

static void exec_closes_all(void **state)
{
	struct mirrored m;
	uint64_t seq;
	pid_t pid;

	(void)state;
	mirrored_open(&m);
	seq = hmm_interval_read_begin(m.s.ni);
	assert_int_equal(spawn_counting(m.before), 0);
	/* Nothing was copied. */
	assert_false(hmm_interval_stale(m.s.ni, seq));
	assert_int_equal(m.s.seen.events[HMM_EVENT_FORK], 0);
	pid = raw_clone(0);
	if (!pid) {
		char number[16];

		snprintf(number, sizeof(number), "%d", m.before);
		execl("/proc/self/exe", "fork_test", "count", number, NULL);
		_exit(1);
	}
	assert_int_equal(status_of(pid), 0);
	mirrored_close(&m);
}

/* The program closes all that it does not know, and opens a file of its own. */
static void a_file_of_the_programs_under_our_number_stays_open(void **state)
{
	int fd = child_closes(dup(0));
	int own[2];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(own), 0);
	assert_int_equal(dup2(own[0], fd), fd);
	pid = fork();
	if (!pid)
		_exit(fcntl(fd, F_GETFD) < 0);
	assert_int_equal(status_of(pid), 0);
	close_ours(fd);
	close(own[0]);
	close(own[1]);
}

static _Atomic int opened; /* 1: by now */
static uint64_t opening_took;

#define WAITS_NS 100000000ULL /* so long does a fork wait (lib/base/opening.c) */

static void *open_slowly(void *arg)
{
	uint64_t began;
	int fd;

	opening_begin();
	began = clock_ns();
	fd = dup(0);
	opened = 1;
	usleep(5000);
	child_closes(fd);
	opening_end();
	opening_took = clock_ns() - began;
	close_ours(fd);
	return arg;
}

/* Its number is not known yet: the fork waits a little. */
static void a_descriptor_that_is_being_opened_is_not_inherited(void **state)
{
	const int before = count_open();
	int inherited = 0;
	int waited_for = 0;
	pthread_t thread;
	pid_t pid;

	(void)state;
	/* On a busy machine it may take longer than a fork waits. */
	for (int i = 0; i < 100 && waited_for < 5; i++) {
		bool has_it;

		opened = 0;
		assert_int_equal(pthread_create(&thread, NULL, open_slowly, NULL), 0);
		while (!opened)
			sched_yield();
		pid = fork();
		if (!pid)
			_exit(count_open() != before);
		has_it = status_of(pid) != 0;
		pthread_join(thread, NULL);
		waited_for += opening_took < WAITS_NS / 2;
		inherited += has_it && opening_took < WAITS_NS / 2;
	}
	assert_int_equal(waited_for, 5);
	assert_true(inherited < 3);
}

/* ---- other threads --------------------------------------------------------------------------- */

static _Atomic bool stop;

static void *attach_and_detach(void *arg)
{
	struct hmm_mm *mm;

	while (!atomic_load(&stop)) {
		if (hmm_mm_attach(NULL, &mm))
			return (void *)1;
		hmm_mm_detach(mm);
	}
	return arg;
}

static void attaching_and_detaching_do_not_stop_a_fork(void **state)
{
	const int before = count_open();
	const uint64_t end = clock_ns() + 10000000000ULL;
	pthread_t thread;
	void *result;
	int leaks = 0, forks = 0;

	(void)state;
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&thread, NULL, attach_and_detach, NULL), 0);
	for (; forks < 300 && (forks < 30 || clock_ns() < end); forks++) {
		const uint64_t began = clock_ns();
		pid_t pid = fork();
		bool waited;

		if (!pid)
			_exit(count_open() != before);
		waited = clock_ns() - began > WAITS_NS;
		leaks += status_of(pid) != 0 && !waited;
	}
	atomic_store(&stop, true);
	pthread_join(thread, &result);
	assert_null(result);
	/* A thread that opens is waited for, but not for long: then the fork has taken as long. */
	assert_true(leaks < 2 + forks / 20);
	assert_int_equal(count_open(), before);
}

int __real_madvise(void *at, size_t bytes, int advice);
int __wrap_madvise(void *at, size_t bytes, int advice);

static _Atomic int populating; /* 1: to be held up; 2: it is; 3: it may go on */
static _Atomic int populated;

int __wrap_madvise(void *at, size_t bytes, int advice)
{
	int wanted = 1;

	if (advice == 23 /* MADV_POPULATE_WRITE */ &&
	    atomic_compare_exchange_strong(&populating, &wanted, 2)) {
		while (atomic_load(&populating) != 3)
			sched_yield();
	}
	if (advice == 23)
		populated++;
	return __real_madvise(at, bytes, advice);
}

struct faulting {
	struct space *s;
	uint64_t seq;
	int err;
	pthread_t thread;
};

static void *fault_one(void *arg)
{
	struct faulting *f = arg;

	f->err = fault(f->s, 0, &f->seq);
	return NULL;
}

/* ---- handlers of the program's --------------------------------------------------------------- */

static struct {
	struct space *s;
	int prepare, last, parent, child; /* what a fault said in each */
	uint64_t seq;
	bool attach; /* in the child */
	bool note;
	struct faulting *start; /* between the library's two handlers */
} handled;

static pthread_mutex_t arena = PTHREAD_MUTEX_INITIALIZER;
static bool lock_arena;

/* Registered before the library was loaded: it runs after the library's. */
static void on_last(void)
{
	uint64_t seq;

	if (handled.s)
		handled.last = fault(handled.s, 0, &seq);
}

/* ... and in a child before it. */
static void on_first_in_child(void)
{
	struct hmm_mm *mm;

	if (!handled.attach)
		return;
	if (hmm_mm_attach(NULL, &mm) || mm_alive(mm))
		_exit(8);
	hmm_mm_detach(mm);
}

static __attribute__((constructor(101))) void register_first(void)
{
	pthread_atfork(on_last, NULL, on_first_in_child);
}

static void start_fault(struct faulting *f);

static void on_prepare(void)
{
	if (handled.start)
		start_fault(handled.start);
	if (handled.s)
		handled.prepare = fault(handled.s, 0, &handled.seq);
	if (handled.note)
		hmm_mm_note(NULL, HMM_NOTE_PROTECT, PAGE, 2 * PAGE);
	if (lock_arena)
		pthread_mutex_lock(&arena);
}

static void on_parent(void)
{
	uint64_t seq;

	if (lock_arena)
		pthread_mutex_unlock(&arena);
	if (handled.s)
		handled.parent = fault(handled.s, 1, &seq);
}

static void on_child(void)
{
	struct hmm_mm *mm;
	uint64_t seq;

	if (lock_arena)
		pthread_mutex_unlock(&arena);
	if (handled.s)
		handled.child = fault(handled.s, 0, &seq);
	if (!handled.attach)
		return;
	if (hmm_mm_attach(NULL, &mm) || mm_alive(mm) || hmm_mm_barrier(mm, HMM_FOREVER))
		_exit(9);
	hmm_mm_detach(mm);
}

/* Something of what is counted around a fork was lost: each one waits its time out. */
static bool is_slow_to_fork(void)
{
	uint64_t best = UINT64_MAX;

	/* On a busy machine some may take as long. */
	for (int i = 0; i < 50 && best > 90000000; i++) {
		uint64_t began = clock_ns();
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		if (clock_ns() - began < best)
			best = clock_ns() - began;
		status_of(pid);
	}
	return best > 90000000;
}

/*
 * fault, in a handler		fork
 *				invalidates
 * succeeds
 *				must invalidate again: the page is shared now
 */
static void handlers_of_the_program_may_call_the_library(void **state)
{
	struct space s;
	pid_t pid;

	(void)state;
	space_open(&s, 4, HMM_MM_NO_EVENT_FORK);
	handled.s = &s;
	handled.note = handled.attach = true;
	pid = fork();
	handled.s = NULL;
	handled.note = handled.attach = false;
	if (!pid)
		_exit(handled.child != -ESRCH || is_slow_to_fork());
	assert_int_equal(status_of(pid), 0);
	assert_int_equal(handled.prepare, 0);
	assert_true(hmm_interval_stale(s.ni, handled.seq));
	assert_int_equal(handled.last, -EDEADLK); /* which would wait for itself */
	assert_int_equal(handled.parent, 0);
	space_close(&s);
}

static void *note_under_a_lock(void *arg)
{
	while (!atomic_load(&stop)) {
		pthread_mutex_lock(&arena);
		hmm_mm_note(NULL, HMM_NOTE_OWN_DISCARD, PAGE, 2 * PAGE);
		pthread_mutex_unlock(&arena);
		usleep(20);
	}
	return arg;
}

/* An allocator gives memory back under the lock that its handler takes. */
static void a_note_under_a_lock_that_a_handler_takes(void **state)
{
	struct space s;
	const uint64_t end = clock_ns() + 10000000000ULL;
	pthread_t thread;

	(void)state;
	space_open(&s, 4, 0);
	atomic_store(&stop, false);
	lock_arena = true;
	assert_int_equal(pthread_create(&thread, NULL, note_under_a_lock, NULL), 0);
	for (int i = 0; i < 200 && (i < 20 || clock_ns() < end); i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		assert_int_equal(status_of(pid), 0);
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	lock_arena = false;
	space_close(&s);
}

/* ---- faults ---------------------------------------------------------------------------------- */

static void start_fault(struct faulting *f)
{
	populated = 0;
	populating = 1;
	assert_int_equal(pthread_create(&f->thread, NULL, fault_one, f), 0);
	while (atomic_load(&populating) != 2)
		sched_yield();
}

/*
 * The page may come from a slow disk, or from a thread that itself forks to get it. What was made
 * the fault's own before the copy is shared after it, so it is done again: whether it began before
 * the library's first handler, or between the two.
 */
static void fork_during_fault(bool between)
{
	struct space s;
	struct faulting f = { &s, 0, -1, 0 };
	pid_t pid;

	space_open(&s, 4, HMM_MM_NO_EVENT_FORK);
	if (between)
		handled.start = &f;
	else
		start_fault(&f);
	pid = fork();
	handled.start = NULL;
	if (!pid)
		_exit(0);
	assert_int_equal(status_of(pid), 0);
	populating = 3;
	pthread_join(f.thread, NULL);
	assert_int_equal(f.err, 0);
	assert_int_equal(populated, 2);
	assert_false(hmm_interval_stale(s.ni, f.seq));
	space_close(&s);
}

static void a_fork_does_not_wait_for_a_fault_which_begins_again(void **state)
{
	(void)state;
	fork_during_fault(false);
}

static void a_fault_that_begins_during_a_fork_begins_again(void **state)
{
	(void)state;
	fork_during_fault(true);
}

/* ---- callbacks ------------------------------------------------------------------------------- */

static pid_t child_of_callback;

static int fork_in_callback(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
			    void *priv)
{
	struct seen *seen = priv;

	(void)ni;
	seen->events[inv->event]++;
	if (inv->event == HMM_EVENT_FORK || child_of_callback)
		return 0;
	child_of_callback = fork();
	if (!child_of_callback)
		_exit(0);
	return 0;
}

static const struct hmm_interval_notifier_ops forking_ops = { sizeof(forking_ops), fork_in_callback,
							      NULL };

/* The gate is closed all the while, and the fork is told of before it opens. */
static void a_callback_may_fork(bool on_pump)
{
	struct space s;
	struct hmm_interval_notifier *ni;

	space_open(&s, 4, on_pump ? 0 : HMM_MM_NO_EVENT_FORK);
	child_of_callback = 0;
	assert_int_equal(
		hmm_interval_notifier_insert(s.mm, addr(&s, 0), PAGE, &forking_ops, &s.seen, &ni),
		0);
	if (on_pump)
		munmap(s.p, PAGE);
	else
		hmm_mm_note(s.mm, HMM_NOTE_PROTECT, addr(&s, 0), addr(&s, 1));
	settle(&s);
	assert_int_equal(status_of(child_of_callback), 0);
	assert_true(s.seen.events[HMM_EVENT_FORK] >= 1);
	hmm_interval_notifier_remove(ni);
	space_close(&s);
}

static void a_callback_of_a_note_may_fork(void **state)
{
	(void)state;
	a_callback_may_fork(false);
}

static void a_callback_on_the_pump_may_fork(void **state)
{
	(void)state;
	a_callback_may_fork(true);
}

/* ---- in a signal handler that interrupted a call of the library ------------------------------ */

static struct {
	struct hmm_mm *mm;
	_Atomic int forked; /* 1 the child has ended well, 2 it has not */
} interrupted;

static void fork_in_handler(int sig)
{
	int status = -1;
	pid_t pid = fork();

	(void)sig;
	if (!pid)
		_exit(mm_alive(interrupted.mm) != -ESRCH);
	if (pid > 0)
		waitpid(pid, &status, 0);
	interrupted.forked = status ? 2 : 1;
}

static void fork_with_lock(struct space *s, pthread_mutex_t *lock)
{
	uint64_t seq = hmm_interval_read_begin(s->ni);

	interrupted.forked = 0;
	inside_library++;
	pthread_mutex_lock(lock);
	raise(SIGUSR1);
	assert_true(hmm_interval_stale(s->ni, seq));
	pthread_mutex_unlock(lock);
	inside_library--;
	assert_int_equal(interrupted.forked, 1);
	settle(s);
	assert_true(hmm_interval_check_retry(s->ni, seq));
	assert_true(stands(s->ni, hmm_interval_read_begin(s->ni)));
}

/* With each lock held that telling of a fork takes, or what is told. */
static void a_handler_forks_where_its_thread_holds_a_lock(void **state)
{
	struct hmm_ptable *table;
	struct space s;

	(void)state;
	signal(SIGUSR1, fork_in_handler);
	space_open(&s, 4, 0);
	assert_int_equal(hmm_ptable_create(NULL, &table), 0);
	interrupted.mm = s.mm;
	alarm(50);
	fork_with_lock(&s, &s.mm->region_lock);
	fork_with_lock(&s, &s.mm->notifier_lock);
	fork_with_lock(&s, &s.mm->gate.lock);
	fork_with_lock(&s, &table->lock);
	alarm(0);
	signal(SIGUSR1, SIG_DFL);
	hmm_ptable_destroy(table);
	space_close(&s);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handler_forks_where_its_thread_holds_a_lock),
		cmocka_unit_test(a_child_holds_no_descriptor_of_its_parents),
		cmocka_unit_test(the_child_of_a_raw_clone_closes_them_in_its_first_call),
		cmocka_unit_test(a_child_that_shares_descriptors_closes_none),
		cmocka_unit_test(exec_closes_all),
		cmocka_unit_test(a_file_of_the_programs_under_our_number_stays_open),
		cmocka_unit_test(a_descriptor_that_is_being_opened_is_not_inherited),
		cmocka_unit_test(attaching_and_detaching_do_not_stop_a_fork),
		cmocka_unit_test(a_fork_does_not_wait_for_a_fault_which_begins_again),
		cmocka_unit_test(a_fault_that_begins_during_a_fork_begins_again),
		cmocka_unit_test(handlers_of_the_program_may_call_the_library),
		cmocka_unit_test(a_note_under_a_lock_that_a_handler_takes),
		cmocka_unit_test(a_callback_of_a_note_may_fork),
		cmocka_unit_test(a_callback_on_the_pump_may_fork),
	};

	if (argc > 2 && !strcmp(argv[1], "count"))
		return count_open() != atoi(argv[2]);
	pthread_atfork(on_prepare, on_parent, on_child);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
