// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Whatever the pump is stuck at, a call of the program that waits for an event to be read goes on,
 * and what was read meanwhile is handled afterwards. What is held up is held up until the call has
 * returned: no test is about time.
 */
#include "common/space.h"
#include "common/stands.h"
#include "pump/steal.h"
#include "engine/gate.h"
#include "pump/kick.h"
#include "base/futex.h"
#include "space/turn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#define GIVE_UP_MS 20000

/* A driver that does not come back before the program's call elsewhere has returned. */
static struct {
	_Atomic int armed;
	_Atomic int inside;
	_Atomic int returned; /* the program's call */
	_Atomic int gave_up;
} hang;

static void hang_here(void)
{
	if (!atomic_exchange(&hang.armed, 0))
		return;
	hang.inside = 1;
	for (int ms = 0; !hang.returned && ms < GIVE_UP_MS; ms++)
		sleep_ms(1);
	hang.gave_up = !hang.returned;
}

static int hang_invalidate(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
			   void *priv)
{
	hang_here();
	return 0;
}

static bool hang_holds(struct hmm_interval_notifier *ni, uint64_t start, uint64_t end, void *priv)
{
	hang_here();
	return true;
}

static void hang_quiesce(void *priv)
{
	hang_here();
}

static void resume(void *priv)
{
}

static const struct hmm_interval_notifier_ops invalidate_ops = { sizeof(invalidate_ops),
								 hang_invalidate, NULL };
static const struct hmm_interval_notifier_ops holds_ops = { sizeof(holds_ops), on_invalidate,
							    hang_holds };
static const struct hmm_quiescer_ops quiescer_ops = { sizeof(quiescer_ops), hang_quiesce, resume };

struct driver {
	struct hmm_mm *mm;
	char *p; /* two pages, the first of them mapped and registered */
	struct hmm_interval_notifier *ni;
	struct hmm_quiescer *quiescer;
	struct seen seen;
	void (*cause)(struct driver *d);
	pthread_t thread;
};

static void driver_open(struct driver *d, struct hmm_mm *mm,
			const struct hmm_interval_notifier_ops *ops, bool quiesces)
{
	struct space s = { .mm = mm };

	memset(d, 0, sizeof(*d));
	memset(&hang, 0, sizeof(hang));
	d->mm = mm;
	map_pages(&s, 1);
	d->p = s.p;
	assert_int_equal(
		hmm_interval_notifier_insert(mm, addr(&s, 0), 2 * PAGE, ops, &d->seen, &d->ni), 0);
	assert_int_equal(watch(&s), 0);
	if (quiesces)
		assert_int_equal(hmm_quiescer_add(mm, &quiescer_ops, NULL, &d->quiescer), 0);
}

static void *driver_thread(void *arg)
{
	struct driver *d = arg;

	d->cause(d);
	return NULL;
}

static void driver_hang(struct driver *d, void (*cause)(struct driver *d))
{
	d->cause = cause;
	hang.armed = 1;
	pthread_create(&d->thread, NULL, driver_thread, d);
	for (int ms = 0; !hang.inside && ms < GIVE_UP_MS; ms++)
		sleep_ms(1);
	assert_true(hang.inside);
}

static void driver_close(struct driver *d)
{
	hang.returned = 1;
	pthread_join(d->thread, NULL);
	hmm_interval_notifier_remove(d->ni);
	hmm_quiescer_remove(d->quiescer);
	munmap(d->p, 2 * PAGE);
}

static void by_unmapping(struct driver *d)
{
	munmap(d->p, PAGE);
}

static void by_telling(struct driver *d)
{
	hmm_mm_note(d->mm, HMM_NOTE_PROTECT, (uint64_t)(uintptr_t)d->p,
		    (uint64_t)(uintptr_t)d->p + PAGE);
}

static void by_invalidating(struct driver *d)
{
	struct hmm_invalidation inv = { .start = (uint64_t)(uintptr_t)d->p,
					.end = (uint64_t)(uintptr_t)d->p + PAGE,
					.event = HMM_EVENT_MIGRATE };

	hmm_interval_invalidate(d->mm, &inv);
}

/* Registering the second page asks whether the driver holds something there, and kills it. */
static void by_registering(struct driver *d)
{
	struct hmm_vma vma = anon_vma(d->p + PAGE, PAGE);

	mmap(d->p + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
	     0);
	region_ensure(d->mm, &vma, vma.start, vma.end, 0);
}

static void by_forking(struct driver *d)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
}

static void goes_on(const struct hmm_interval_notifier_ops *ops, bool quiesces,
		    void (*cause)(struct driver *d))
{
	struct space s;
	struct driver d;
	uint64_t seq;

	space_open(&s, 4, 0);
	driver_open(&d, s.mm, ops, quiesces);
	seq = hmm_interval_read_begin(s.ni);
	driver_hang(&d, cause);
	munmap(s.p, PAGE); /* of a range that the driver has nothing to do with */
	assert_false(hang.gave_up);
	assert_true(hmm_interval_stale(s.ni, seq));
	assert_int_equal(s.seen.events[HMM_EVENT_UNMAP], 0); /* not handled yet */
	driver_close(&d);
	settle(&s);
	assert_int_equal(s.seen.events[HMM_EVENT_UNMAP], 1);
	assert_true(hmm_interval_check_retry(s.ni, seq));
	assert_true(stands(s.ni, hmm_interval_read_begin(s.ni)));
	space_close(&s);
}

static void a_callback_on_the_pump_hangs(void **state)
{
	goes_on(&invalidate_ops, false, by_unmapping);
}

static void a_callback_of_a_note_hangs(void **state)
{
	goes_on(&invalidate_ops, false, by_telling);
}

static void a_callback_of_an_invalidation_hangs(void **state)
{
	goes_on(&invalidate_ops, false, by_invalidating);
}

static void a_callback_of_a_fault_hangs(void **state)
{
	goes_on(&invalidate_ops, false, by_registering);
}

static void a_callback_of_a_fork_hangs(void **state)
{
	goes_on(&invalidate_ops, false, by_forking);
}

static void holds_hangs(void **state)
{
	goes_on(&holds_ops, false, by_registering);
}

static void a_device_is_not_to_be_stopped(void **state)
{
	goes_on(&on_ops, true, by_unmapping);
}

/* What does not fit into what a thief can hand over: everything is invalid then. */
static void more_is_read_than_can_be_kept(void **state)
{
	const size_t pages = 2 * THIEF_EVENTS;
	struct space s;
	struct driver d;
	char *other;
	struct seen seen = { .calls = 0 };
	struct hmm_interval_notifier *ni;
	uint64_t seq;

	space_open(&s, pages, 0);
	other = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(hmm_interval_notifier_insert(s.mm, (uint64_t)(uintptr_t)other, PAGE,
						      &on_ops, &seen, &ni),
			 0);
	seq = hmm_interval_read_begin(ni);
	driver_open(&d, s.mm, &invalidate_ops, false);
	driver_hang(&d, by_unmapping);
	/* every one an event of its own, while the driver hangs */
	for (size_t i = 0; i < pages; i += 2)
		munmap(s.p + i * PAGE, PAGE);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(madvise(s.p + PAGE, PAGE, MADV_DONTNEED), 0);
	atomic_store(&s.mm->thieves[THIEF_WATCHDOG].overflow, 1);
	driver_close(&d);
	settle(&s);
	assert_true(hmm_interval_check_retry(ni, seq));
	assert_true(seen.events[HMM_EVENT_UNMAP] && seen.events[HMM_EVENT_CLEAR]);
	hmm_interval_notifier_remove(ni);
	munmap(other, PAGE);
	space_close(&s);
}

/* The pump may be stopped where it shows that it is idle. */
static void what_is_stolen_is_refused_until_the_pump_comes(void **state)
{
	struct space s;
	uint64_t seq;

	space_open(&s, 4, 0);
	seq = hmm_interval_read_begin(s.ni);
	assert_false(hmm_interval_stale(s.ni, seq));
	steal_close(s.mm);
	assert_true(hmm_interval_stale(s.ni, seq));
	assert_int_equal(hmm_mm_barrier(s.mm, 50000000), -ETIME);
	assert_int_equal(hmm_mm_barrier(s.mm, HMM_NO_WAIT), -ETIME);
	assert_false(gate_commit_try(s.mm));
	s.mm->thieves[THIEF_WATCHDOG].last_seq = s.mm->pump_seq;
	assert_true(steal_read(s.mm, &s.mm->thieves[THIEF_WATCHDOG], NULL));
	assert_true(hmm_interval_stale(s.ni, seq));
	pump_kick(s.mm);
	settle(&s);
	assert_false(hmm_interval_stale(s.ni, seq));
	assert_int_equal(hmm_mm_barrier(s.mm, HMM_NO_WAIT), 0);
	/* The pump opens the gate a moment after it has shown that it is idle. */
	for (int ms = 0; s.mm->gate.closed && ms < GIVE_UP_MS; ms++)
		sleep_ms(1);
	assert_true(gate_commit_try(s.mm));
	hmm_mm_commit_end(s.mm);
	/* nothing is closed */
	assert_false(steal_read(s.mm, &s.mm->thieves[THIEF_WATCHDOG], NULL));
	space_close(&s);
}

/* The pump has come by since the thief looked: what it saw of engines is no longer true. */
static void a_thief_whose_look_is_old_reads_nothing(void **state)
{
	static struct thief old; /* not the keeper's, which looks again by itself */
	struct thief *t;
	struct space s;

	space_open(&s, 4, 0);
	t = &s.mm->thieves[THIEF_KEEPER];
	old.last_seq = s.mm->pump_seq - 2;
	steal_close(s.mm);
	assert_false(steal_read(s.mm, &old, NULL));
	assert_int_equal(old.busy, 0);
	t->last_seq = s.mm->pump_seq;
	assert_true(steal_read(s.mm, t, NULL));
	pump_kick(s.mm);
	settle(&s);
	space_close(&s);
}

/* ---- devices that stop late ------------------------------------------------------------------ */

static void count_stop(void *priv)
{
	atomic_fetch_add((_Atomic int *)priv, 1);
}

static void count_resume(void *priv)
{
	atomic_fetch_sub((_Atomic int *)priv, 1);
}

static void wait_until_open(struct hmm_mm *mm)
{
	for (int ms = 0; (mm->gate.closed || mm->gate.quiesced) && ms < GIVE_UP_MS; ms++)
		sleep_ms(1);
	assert_false(mm->gate.closed || mm->gate.quiesced);
}

/*
 * The pump has taken the thief's closing away and opened the gate. It has no reason to come again,
 * so it would not let go on what a thief stops now.
 */
static void a_thief_that_is_late_stops_no_device(void **state)
{
	static const struct hmm_quiescer_ops ops = { sizeof(ops), count_stop, count_resume };
	_Atomic int stopped = 0;
	struct hmm_quiescer *q;
	struct space s;

	space_open(&s, 4, 0);
	assert_int_equal(hmm_quiescer_add(s.mm, &ops, (void *)&stopped, &q), 0);
	steal_close(s.mm);
	while (!gate_try_quiesce(s.mm))
		sleep_ms(1);
	assert_int_equal(stopped, 1);
	pump_kick(s.mm);
	wait_until_open(s.mm);
	while (!gate_try_quiesce(s.mm))
		sleep_ms(1);
	assert_int_equal(stopped, 0);
	hmm_quiescer_remove(q);
	space_close(&s);
}

/* The watchdog waits until the device has stopped. The pump is through before it looks again. */
static void a_device_that_stopped_late_goes_on(void **state)
{
	for (int i = 0; i < 4; i++) {
		struct space s;
		struct driver d;

		space_open(&s, 4, 0);
		driver_open(&d, s.mm, &on_ops, true);
		driver_hang(&d, by_unmapping);
		for (int ms = 0; !gate_has_thieves(s.mm) && ms < GIVE_UP_MS; ms++)
			sleep_ms(1);
		hang.returned = 1;
		settle(&s);
		sleep_ms(20); /* the watchdog looks every millisecond */
		wait_until_open(s.mm);
		driver_close(&d);
		space_close(&s);
	}
}

/* ---- signals --------------------------------------------------------------------------------- */

static struct {
	struct space *s;
	char *page;
	_Atomic int done;
} handler;

static void on_signal(int sig)
{
	munmap(handler.page, PAGE);
	handler.done = 1;
}

/* Interrupted where it holds the lock: the worst place, which a signal finds sooner or later. */
static void a_signal_handler_unmaps_while_its_thread_holds_a_lock(void **state)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct space s;

	space_open(&s, 4, 0);
	handler.s = &s;
	handler.page = s.p;
	handler.done = 0;
	sigaction(SIGUSR1, &sa, NULL);
	alarm(50);
	pthread_mutex_lock(&s.mm->region_lock);
	raise(SIGUSR1);
	pthread_mutex_unlock(&s.mm->region_lock);
	handler.page = s.p + PAGE;
	pthread_mutex_lock(&s.mm->notifier_lock);
	raise(SIGUSR1);
	pthread_mutex_unlock(&s.mm->notifier_lock);
	handler.page = s.p + 2 * PAGE;
	hmm_mm_commit_begin(s.mm);
	raise(SIGUSR1);
	hmm_mm_commit_end(s.mm);
	alarm(0);
	settle(&s);
	assert_int_equal(s.seen.events[HMM_EVENT_UNMAP], 3);
	signal(SIGUSR1, SIG_DFL);
	space_close(&s);
}

/* A debugger has stopped the holder of the turn. */
static void the_keeper_reads_in_anothers_turn(void **state)
{
	struct space s;

	space_open(&s, 4, 0);
	pthread_mutex_lock(&s.mm->region_lock);
	turn_take(s.mm);
	alarm(50);
	munmap(s.p, PAGE);
	alarm(0);
	assert_int_equal(s.seen.events[HMM_EVENT_UNMAP], 0);
	turn_end(s.mm);
	pthread_mutex_unlock(&s.mm->region_lock);
	settle(&s);
	assert_int_equal(s.seen.events[HMM_EVENT_UNMAP], 1);
	space_close(&s);
}

/* ---- debuggers ------------------------------------------------------------------------------- */

static void *unmap_for_ever(void *arg)
{
	struct space *s = arg;

	for (;;) {
		struct hmm_vma vma;
		char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0);

		vma = anon_vma(p, PAGE);
		*p = 1;
		region_ensure(s->mm, &vma, vma.start, vma.end, 0);
		munmap(p, PAGE);
	}
	return NULL;
}

/* The debugged program: unmaps, and says what it thinks of its descriptors' number. */
static void debugged(void)
{
	struct space s;
	pthread_t t;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	space_open(&s, 4, 0);
	pthread_create(&t, NULL, unmap_for_ever, &s);
	unmap_for_ever(&s);
}

/*
 * As gdb does it: attaches to all threads, then waits for each to stop. -1 not permitted; else how
 * many.
 */
static int stop_all(pid_t pid, pid_t *tids, int max)
{
	char path[64];
	struct dirent *e;
	DIR *d;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d)) && n < max) {
		pid_t tid = (pid_t)atoi(e->d_name);

		if (tid <= 0)
			continue;
		if (ptrace(PTRACE_ATTACH, tid, 0, 0))
			return -1;
		tids[n++] = tid;
	}
	if (d)
		closedir(d);
	for (int i = 0; i < n; i++)
		waitpid(tids[i], NULL, __WALL);
	return n;
}

static int count_threads(pid_t pid)
{
	char path[64];
	struct dirent *e;
	DIR *d;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

static void a_debugger_stops_all_threads(void **state)
{
	pid_t tids[16];
	pid_t pid = fork();
	int n = 0;

	if (!pid) {
		debugged();
		_exit(1);
	}
	for (int ms = 0; count_threads(pid) < 4 && ms < GIVE_UP_MS; ms++)
		sleep_ms(1);
	sleep_ms(300); /* and until they do what they are there for */
	alarm(50);
	for (int round = 0; round < 8 && n >= 0; round++) {
		n = stop_all(pid, tids, 16);
		for (int i = 0; i < n; i++)
			ptrace(PTRACE_DETACH, tids[i], 0, 0);
		sleep_ms(20);
	}
	alarm(0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (n < 0)
		skip();
	assert_true(n >= 4);
}

/* ---- the keeper ------------------------------------------------------------------------------ */

/* The first child of this process by that name; 0 none. */
static pid_t find_keeper(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	pid_t found = 0;

	while (!found && (e = readdir(proc))) {
		char path[300];
		char line[512] = "";
		int ppid = 0;
		char *end;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
		if (atoi(e->d_name) <= 0 || !(f = fopen(path, "r")))
			continue;
		if (fgets(line, sizeof(line), f) && strstr(line, "(hmm-keeper)") &&
		    (end = strrchr(line, ')')) && sscanf(end + 1, " %*c %d", &ppid) == 1 &&
		    ppid == getpid())
			found = (pid_t)atoi(e->d_name);
		fclose(f);
	}
	closedir(proc);
	return found;
}

static pid_t wait_for_keeper(bool there)
{
	pid_t pid = 0;

	for (int i = 0; i < GIVE_UP_MS && !(pid = find_keeper()) == there; i++)
		sleep_ms(1);
	return pid;
}

static int count_descriptors(pid_t pid)
{
	char path[64];
	struct dirent *e;
	DIR *d;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	if (!d)
		return -1;
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void the_keeper_is_nobodys_business(void **state)
{
	struct hmm_mm_info info = { .size = sizeof(info) };
	struct space s;
	pid_t pid;
	int fds;

	space_open(&s, 4, 0);
	pid = wait_for_keeper(true);
	assert_true(pid);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child to be waited for */
	assert_int_equal(errno, ECHILD);
	assert_int_equal(hmm_mm_get_info(s.mm, &info), 0);
	assert_true(info.keeper && !info.lost);
	/* It has its name before it has closed what it does not keep. */
	for (int i = 0; (fds = count_descriptors(pid)) > 3 && i < GIVE_UP_MS; i++)
		sleep_ms(1);
	assert_true(fds < 0 || fds == 3);
	space_close(&s);
	assert_int_equal(wait_for_keeper(false), 0);
}

/* As if the keeper were reading. */
static void begin_its_turn(struct hmm_mm *mm)
{
	while (!turn_try(mm, TURN_KEEPER))
		sleep_ms(1);
	mm->thieves[THIEF_KEEPER].busy = 1;
}

static void a_keeper_that_is_killed_is_done_without(void **state)
{
	struct hmm_mm_info info = { .size = sizeof(info) };
	struct space s;
	pid_t pid;

	space_open(&s, 4, 0);
	pid = wait_for_keeper(true);
	assert_true(pid);
	begin_its_turn(s.mm);
	kill(pid, SIGKILL);
	assert_int_equal(wait_for_keeper(false), 0);
	for (int i = 0; i < 20000 && !hmm_mm_get_info(s.mm, &info) && info.keeper; i++)
		sleep_ms(1);
	assert_false(info.keeper);
	munmap(s.p, PAGE);
	settle(&s);
	/* Where a thief reads, what the keeper may have lost is told, too. */
	assert_true(s.seen.events[HMM_EVENT_UNMAP] >= 1);
	space_close(&s);
}

static void a_keeper_that_is_killed_holds_no_end_up(void **state)
{
	struct space s;
	pid_t pid;

	space_open(&s, 4, 0);
	pid = wait_for_keeper(true);
	assert_true(pid);
	begin_its_turn(s.mm);
	atomic_fetch_add(&s.mm->gate.closed, 2 * GATE_THIEF);
	/* The watchdog is to look no more. */
	atomic_store(&s.mm->stopping, 1);
	futex_wake(&s.mm->stopping);
	kill(pid, SIGKILL);
	alarm(50);
	space_close(&s);
	alarm(0);
}

static void the_keeper_ends_with_the_program(void **state)
{
	struct space s;
	pid_t keeper = 0;
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		space_open(&s, 4, 0);
		keeper = wait_for_keeper(true);
		_exit(write(fds[1], &keeper, sizeof(keeper)) != sizeof(keeper));
	}
	waitpid(pid, NULL, 0);
	assert_int_equal(read(fds[0], &keeper, sizeof(keeper)), sizeof(keeper));
	assert_true(keeper > 0);
	for (int i = 0; i < 20000 && !kill(keeper, 0); i++)
		sleep_ms(1);
	assert_true(kill(keeper, 0));
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_callback_on_the_pump_hangs),
		cmocka_unit_test(a_callback_of_a_note_hangs),
		cmocka_unit_test(a_callback_of_an_invalidation_hangs),
		cmocka_unit_test(a_callback_of_a_fault_hangs),
		cmocka_unit_test(a_callback_of_a_fork_hangs),
		cmocka_unit_test(holds_hangs),
		cmocka_unit_test(a_device_is_not_to_be_stopped),
		cmocka_unit_test(more_is_read_than_can_be_kept),
		cmocka_unit_test(what_is_stolen_is_refused_until_the_pump_comes),
		cmocka_unit_test(a_thief_whose_look_is_old_reads_nothing),
		cmocka_unit_test(a_thief_that_is_late_stops_no_device),
		cmocka_unit_test(a_device_that_stopped_late_goes_on),
		cmocka_unit_test(a_signal_handler_unmaps_while_its_thread_holds_a_lock),
		cmocka_unit_test(the_keeper_reads_in_anothers_turn),
		cmocka_unit_test(a_debugger_stops_all_threads),
		cmocka_unit_test(the_keeper_is_nobodys_business),
		cmocka_unit_test(a_keeper_that_is_killed_is_done_without),
		cmocka_unit_test(a_keeper_that_is_killed_holds_no_end_up),
		cmocka_unit_test(the_keeper_ends_with_the_program),
	};

	return cmocka_run_group_tests_name("stuck", tests, NULL, NULL);
}
