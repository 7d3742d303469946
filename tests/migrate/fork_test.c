// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Forks with pages on the device, and the end of the process or of our descriptors. */
#include "common/devmem.h"
#include "pump/steal.h"

#include <pthread.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

#define PAGES 1100

static struct with_devmem with;

static int setup(void **state)
{
	devmem_open(&with, REGION, 0);
	*state = &with;
	return 0;
}

/* As without privilege: the kernel does not tell of forks, so no child gets copies. */
static int setup_untold(void **state)
{
	memset(&with, 0, sizeof(with));
	mirror_open(&with.m, HMM_MM_NO_EVENT_FORK);
	assert_int_equal(make_region(&with, REGION, 0, &with, &with.d), 0);
	*state = &with;
	return 0;
}

static int setup_copying(void **state)
{
	devmem_open_copying(&with, REGION, 0, 0);
	*state = &with;
	return 0;
}

static int setup_backed(void **state)
{
	devmem_open_copying(&with, REGION, HMM_DEVMEM_BACKED, 0);
	*state = &with;
	return 0;
}

static int teardown(void **state)
{
	devmem_close(*state);
	return 0;
}

static char *pages_on_device(struct with_devmem *w, size_t pages)
{
	char *p = map_anon(pages * PAGE, RW);

	number(p, pages, 1);
	assert_int_equal(to_device(w, p, pages), 0);
	assert_int_equal(away(w, p, pages), pages);
	return p;
}

/* For children: no assertion. */
static bool is_numbered(const char *p, size_t pages, unsigned int from)
{
	for (size_t i = 0; i < pages; i++) {
		if (*(const volatile unsigned int *)(p + i * PAGE) != from + i)
			return false;
	}
	return true;
}

static void a_child_by_libc_has_everything(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, PAGES);
	pid_t pid = fork();

	if (!pid) {
		const bool ok = is_numbered(p, PAGES, 1);

		number(p, PAGES, 5000);
		_exit(ok && is_numbered(p, PAGES, 5000) ? 0 : 1);
	}
	number(p, PAGES, 9000);
	assert_int_equal(status_of(pid), 0);
	assert_numbered(p, PAGES, 9000);
	munmap(p, PAGES * PAGE);
}

/* Shared pages are made the program's own before they move. */
static void pages_that_a_fork_left_shared_move(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(PAGES * PAGE, RW);
	int fds[2];
	char c = 0;
	pid_t pid;

	number(p, PAGES, 1);
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		close(fds[1]);
		(void)!read(fds[0], &c, 1);
		_exit(is_numbered(p, PAGES, 1) ? 0 : 1);
	}
	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_int_equal(w->result.moved, PAGES);
	assert_int_equal(away(w, p, PAGES), PAGES);
	for (size_t i = 0; i < PAGES; i++)
		*(unsigned int *)on_device(w, i) += 1000;
	device_wrote(w);
	assert_int_equal(write(fds[1], &c, 1), 1);
	assert_int_equal(status_of(pid), 0);
	assert_numbered(p, PAGES, 1001);
	close(fds[0]);
	close(fds[1]);
	munmap(p, PAGES * PAGE);
}

/* Where the kernel tells of forks a child that libc does not know has copies. */
static void a_child_by_raw_clone_has_copies(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, PAGES);
	const bool told = w->m.mm->provider.event_fork;
	pid_t pid = raw_clone(0);

	if (!pid) {
		if (!is_numbered(p, PAGES, 1))
			_exit(1);
		number(p, PAGES, 5000);
		munmap(p, 100 * PAGE);
		_exit(is_numbered(p + 100 * PAGE, PAGES - 100, 5100) ? 0 : 2);
	}
	assert_int_equal(away(w, p, PAGES), PAGES);
	if (told)
		assert_int_equal(status_of(pid), 0);
	else
		status_of(pid); /* zeros, as the manual says */
	assert_numbered(p, PAGES, 1);
	munmap(p, PAGES * PAGE);
}

struct debugger {
	pid_t pid;
	int order[2];
	int answer[2];
};

static bool stop(pid_t tid)
{
	int status;

	return !ptrace(PTRACE_SEIZE, tid, NULL, NULL) &&
	       !ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) && waitpid(tid, &status, __WALL) == tid;
}

/* Stops the threads that it is told, until it is told to end. */
static void debug(const struct debugger *g)
{
	pid_t tid[2];
	char ok = 'n';

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(g->order[0], tid, sizeof(tid)) == sizeof(tid) && stop(tid[0]) && stop(tid[1]))
		ok = 'y';
	if (write(g->answer[1], &ok, 1) == 1)
		(void)!read(g->order[0], &ok, 1);
	_exit(0);
}

static void start_debugger(struct debugger *g)
{
	assert_int_equal(pipe(g->order), 0);
	assert_int_equal(pipe(g->answer), 0);
	g->pid = fork();
	if (!g->pid)
		debug(g);
}

/* False: it may not. */
static bool stop_readers(const struct debugger *g, const struct hmm_mm *mm)
{
	const pid_t tid[] = { mm->pump_tid, mm->watchdog_tid };
	char ok;

	assert_int_equal(write(g->order[1], tid, sizeof(tid)), sizeof(tid));
	assert_int_equal(read(g->answer[0], &ok, 1), 1);
	return ok == 'y';
}

static void end_debugger(const struct debugger *g)
{
	assert_int_equal(write(g->order[1], "", 1), 1);
	status_of(g->pid);
	for (int i = 0; i < 2; i++) {
		close(g->order[i]);
		close(g->answer[i]);
	}
}

/*
 * A debugger has stopped the pump and the watchdog, so the keeper reads. The child's descriptor is
 * in the keeper's table then.
 */
static void a_child_has_copies_whoever_reads(void **state)
{
	struct with_devmem *w = *state;
	const struct hmm_mm *mm = w->m.mm;
	const struct thief *keeper = &mm->thieves[THIEF_KEEPER];
	struct debugger g;
	uint32_t before;
	bool read_by_keeper;
	bool stopped;
	pid_t pid;
	char *p;

	if (!mm->provider.event_fork || !atomic_load(&mm->keeper))
		skip();
	start_debugger(&g);
	p = pages_on_device(w, PAGES);
	before = atomic_load(&keeper->head);
	stopped = stop_readers(&g, mm);
	pid = raw_clone(0);
	if (!pid)
		_exit(is_numbered(p, PAGES, 1) ? 0 : 1);
	/* The call returns when its event is read, a moment before that is handed over. */
	for (int ms = 0; stopped && ms < 20000 && atomic_load(&keeper->head) == before; ms++)
		usleep(1000);
	read_by_keeper = atomic_load(&keeper->head) > before;
	end_debugger(&g);
	assert_true(!stopped || read_by_keeper);
	assert_int_equal(status_of(pid), 0);
	assert_numbered(p, PAGES, 1);
	munmap(p, PAGES * PAGE);
	if (!stopped)
		skip();
}

/* A child that libc does not know keeps the userfaultfd open: nobody waits for it after the end. */
static void a_child_that_stays_holds_nothing_up(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(32 * PAGE, RW);
	char *to = map_anon(32 * PAGE, RW);
	pid_t pid;

	number(p, 8, 1);
	assert_int_equal(to_device(w, p, 8), 0);
	assert_ptr_equal(mremap(p, 32 * PAGE, 32 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
	pid = raw_clone(0);
	if (!pid) {
		for (;;)
			pause();
	}
	mirror_close(&w->m);
	assert_numbered(to, 8, 1);
	assert_int_equal(to[20 * PAGE], 0);
	kill(pid, SIGKILL);
	status_of(pid);
	munmap(to, 32 * PAGE);
	devmem_open(w, REGION, 0);
}

static _Atomic bool over;

static void *migrate_all_the_time(void *arg)
{
	char *p = arg;

	while (!over)
		hmm_migrate_to_device(with.d, at(p), at(p) + PAGES * PAGE, HMM_FOREVER, NULL);
	return NULL;
}

static void forks_while_pages_migrate(void **state)
{
	char *p = map_anon(PAGES * PAGE, RW);
	pthread_t thread;

	number(p, PAGES, 1);
	over = false;
	assert_int_equal(pthread_create(&thread, NULL, migrate_all_the_time, p), 0);
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(is_numbered(p, PAGES, 1) ? 0 : 1);
		assert_int_equal(status_of(pid), 0);
	}
	over = true;
	pthread_join(thread, NULL);
	assert_numbered(p, PAGES, 1);
	munmap(p, PAGES * PAGE);
}

/* ---- ends: in a child, which has a space of its own ----------------------------------------- */

static int open_in_child(struct with_devmem *w, char **p, size_t pages)
{
	const struct hmm_devmem_options o = { .size = sizeof(o), .bytes = REGION, .owner = w };
	struct hmm_migrate_result r = { .size = sizeof(r) };

	memset(w, 0, sizeof(*w));
	*p = map_fd_apart(pages * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (*p == MAP_FAILED || hmm_mm_attach(NULL, &w->m.mm))
		return 10;
	number(*p, pages, 1);
	if (hmm_devmem_create(w->m.mm, &o, &w->d))
		return 11;
	if (hmm_migrate_to_device(w->d, at(*p), at(*p) + pages * PAGE, HMM_FOREVER, &r))
		return 12;
	return r.moved == pages ? 0 : 13;
}

static int exits(void)
{
	char *p;

	return open_in_child(&with, &p, PAGES);
}

static int executes(void)
{
	char *p;
	int ret = open_in_child(&with, &p, PAGES);

	if (ret)
		return ret;
	execl("/bin/true", "true", NULL);
	return 20;
}

/* The program closes all that it does not know. */
static int closes_all(void)
{
	char *p;
	char *away;
	int ret = open_in_child(&with, &p, PAGES);

	if (ret)
		return ret;
	away = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (syscall(SYS_close_range, 3, ~0U, 0))
		return 20;
	/* before the library has noticed, and afterwards */
	if (!is_numbered(p, PAGES / 2, 1))
		return 21;
	while (!atomic_load(&with.m.mm->lost))
		sched_yield();
	munmap(p, 10 * PAGE);
	if (mremap(p + 10 * PAGE, (PAGES - 10) * PAGE, (PAGES - 10) * PAGE,
		   MREMAP_MAYMOVE | MREMAP_FIXED, away) != away)
		return 22;
	if (!is_numbered(away, PAGES - 10, 11))
		return 23;
	if (hmm_migrate_to_device(with.d, at(away), at(away) + PAGE, HMM_FOREVER, NULL) != -ESRCH)
		return 24;
	if (hmm_devmem_destroy(with.d, HMM_FOREVER))
		return 25;
	hmm_mm_detach(with.m.mm);
	return is_numbered(away, PAGES - 10, 11) ? 0 : 26;
}

/* The same with nothing touched before the library notices. */
static int closes_and_waits(void)
{
	char *p;
	int ret = open_in_child(&with, &p, PAGES);

	if (ret)
		return ret;
	if (syscall(SYS_close_range, 3, ~0U, 0))
		return 20;
	while (!atomic_load(&with.m.mm->lost))
		sched_yield();
	hmm_mm_detach(with.m.mm);
	return is_numbered(p, PAGES, 1) ? 0 : 21;
}

static void ends(void **state)
{
	static int (*const fn[])(void) = { exits, executes, closes_all, closes_and_waits };

	(void)state;
	for (size_t i = 0; i < sizeof(fn) / sizeof(fn[0]); i++) {
		assert_int_equal(in_child(fn[i], false), 0);
		assert_int_equal(in_child(fn[i], true), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends),
		BOTH(a_child_by_libc_has_everything),
		cmocka_unit_test_setup_teardown(a_child_by_libc_has_everything, setup_untold,
						teardown),
		cmocka_unit_test_setup_teardown(forks_while_pages_migrate, setup_untold, teardown),
		BOTH(pages_that_a_fork_left_shared_move),
		cmocka_unit_test_setup_teardown(a_child_by_raw_clone_has_copies, setup, teardown),
		cmocka_unit_test_setup_teardown(a_child_has_copies_whoever_reads, setup, teardown),
		cmocka_unit_test_setup_teardown(a_child_that_stays_holds_nothing_up, setup,
						teardown),
		BOTH(forks_while_pages_migrate),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
