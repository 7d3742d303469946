/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Pump, gate, watchdog, discards, regions, fork. */
#include "core.h"
#include "held_discard.h"
#include "base/deadline.h"
#include "engine/gate.h"
#include "watch/discard.h"

#include <errno.h>
#include <pthread.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#define UNLESS_SANITIZED __attribute__((unused))
#else
#define SANITIZED 0
#define UNLESS_SANITIZED
#endif

struct worker {
	struct hmm_engine *engine;
	_Atomic int inside;
	_Atomic int stop;
	int asleep;        /* as if in a fault that is not served */
	_Atomic int stood; /* -1 not known yet */
};

static void sleep_ms(int ms)
{
	struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&ts, NULL);
}

/* An engine that stays in its section until told. */
static void *stay_inside(void *arg)
{
	struct worker *w = arg;

	hmm_engine_enter(w->engine);
	w->inside = 1;
	while (!w->stop) {
		if (w->asleep)
			sleep_ms(400);
		else
			sched_yield();
	}
	w->stood = hmm_engine_exit(w->engine);
	return NULL;
}

static void *unmap_first_page(void *arg)
{
	struct space *s = arg;

	munmap(s->p, PAGE);
	return NULL;
}

/* The machine may be busy: five seconds, where microseconds do. */
static bool wait_for_poll(struct hmm_engine *engine)
{
	for (int i = 0; i < 5000 && !hmm_engine_poll(engine); i++)
		sleep_ms(1);
	return hmm_engine_poll(engine);
}

static void munmap_waits_for_an_open_section(void **state)
{
	struct space s;
	struct worker w = { .stood = -1 };
	pthread_t engine;
	pthread_t app;
	bool wants_to_close;
	int before;

	space_open(&s, 4, 0);
	assert_int_equal(hmm_engine_create(s.mm, &w.engine), 0);
	pthread_create(&engine, NULL, stay_inside, &w);
	while (!w.inside)
		sched_yield();
	pthread_create(&app, NULL, unmap_first_page, &s);
	wants_to_close = wait_for_poll(w.engine);
	sleep_ms(3);
	before = s.seen.calls;
	w.stop = 1;
	pthread_join(engine, NULL);
	pthread_join(app, NULL);
	settle(&s);
	assert_true(wants_to_close);
	assert_int_equal(before, 0);
	assert_int_equal(s.seen.calls, 1);
	assert_true(w.stood);
	hmm_engine_destroy(w.engine);
	space_close(&s);
}

static void overrun_case(int asleep, uint64_t least_ns, uint64_t most_ns)
{
	struct space s;
	struct worker w = { .stood = -1, .asleep = asleep };
	struct hmm_mm_stats stats = { .size = sizeof(stats) };
	pthread_t engine;
	uint64_t began;

	space_open(&s, 4, 0);
	assert_int_equal(hmm_engine_create(s.mm, &w.engine), 0);
	pthread_create(&engine, NULL, stay_inside, &w);
	while (!w.inside)
		sched_yield();
	began = clock_ns();
	munmap(s.p, PAGE); /* returns all the same, but not before the section is run over */
	assert_true(clock_ns() - began < most_ns);
	settle(&s);
	assert_in_range(clock_ns() - began, least_ns, most_ns);
	assert_int_equal(s.seen.calls, 1);
	w.stop = 1;
	pthread_join(engine, NULL);
	assert_false(w.stood);
	hmm_mm_get_stats(s.mm, &stats);
	assert_int_equal(stats.overruns, 1);
	hmm_engine_destroy(w.engine);
	space_close(&s);
}

static void an_engine_asleep_in_its_section_is_run_over(void **state)
{
	overrun_case(1, 5000000, 900000000);
}

static void an_engine_that_runs_is_waited_for_a_second(void **state)
{
	overrun_case(0, 900000000, 4000000000);
}

#define STOPPED_MS 300

/* Another process that stops the thread it is told of, says whether it could, and lets it go a little later. */
static pid_t start_debugger(int *to, int *from)
{
	int down[2], up[2];
	pid_t pid, tid;
	char said = 'n';

	assert_int_equal(pipe(down) | pipe(up), 0);
	pid = fork();
	if (pid) {
		*to = down[1];
		*from = up[0];
		close(down[0]);
		close(up[1]);
		prctl(PR_SET_PTRACER, pid, 0, 0, 0);
		return pid;
	}
	if (read(down[0], &tid, sizeof(tid)) == sizeof(tid) && !ptrace(PTRACE_SEIZE, tid, 0, 0) &&
	    !ptrace(PTRACE_INTERRUPT, tid, 0, 0) && waitpid(tid, NULL, __WALL) == tid)
		said = 'y';
	if (write(up[1], &said, 1) == 1)
		sleep_ms(STOPPED_MS);
	ptrace(PTRACE_DETACH, tid, 0, 0);
	_exit(0);
}

/* It is in the middle of something, and will go on from there. */
static void an_engine_that_a_debugger_stopped_is_waited_for(void **state)
{
	struct hmm_mm_stats stats = { .size = sizeof(stats) };
	struct worker w = { .stood = -1 };
	struct space s;
	int to, from;
	pid_t debugger = start_debugger(&to, &from), tid;
	char said = 0;
	pthread_t engine;

	space_open(&s, 4, 0);
	assert_int_equal(hmm_engine_create(s.mm, &w.engine), 0);
	pthread_create(&engine, NULL, stay_inside, &w);
	while (!w.inside)
		sched_yield();
	tid = atomic_load(&w.engine->tid);
	assert_int_equal(write(to, &tid, sizeof(tid)), sizeof(tid));
	assert_int_equal(read(from, &said, 1), 1);
	w.stop = 1;
	munmap(s.p, PAGE);
	settle(&s);
	pthread_join(engine, NULL);
	waitpid(debugger, NULL, 0);
	hmm_mm_get_stats(s.mm, &stats);
	hmm_engine_destroy(w.engine);
	space_close(&s);
	close(to);
	close(from);
	if (said != 'y') {
		print_message("no other process may stop a thread of this one\n");
		skip();
	}
	assert_true(w.stood);
	assert_int_equal(stats.overruns, 0);
}

static void a_commit_section_holds_the_pump_back(void **state)
{
	struct space s;
	pthread_t app;
	uint64_t seq;
	bool known = false;
	int before;

	space_open(&s, 4, 0);
	seq = hmm_interval_read_begin(s.ni);
	hmm_engine_commit_begin(s.mm);
	pthread_create(&app, NULL, unmap_first_page, &s);
	for (int i = 0; i < 5000 && !known; i++) {
		sleep_ms(1);
		known = hmm_interval_read_retry(s.ni, seq); /* the probe or the pump knows */
	}
	before = s.seen.calls;
	hmm_engine_commit_end(s.mm);
	pthread_join(app, NULL);
	settle(&s);
	assert_true(known);
	assert_int_equal(before, 0);
	assert_int_equal(s.seen.calls, 1);
	space_close(&s);
}

static void count_quiesce(void *priv)
{
	((int *)priv)[0]++;
}

static void count_resume(void *priv)
{
	((int *)priv)[1]++;
}

static void a_quiescer_brackets_every_invalidation(void **state)
{
	static const struct hmm_quiescer_ops ops = { sizeof(ops), count_quiesce, count_resume };
	struct hmm_quiescer *q;
	struct space s;
	int n[2] = { 0, 0 };

	space_open(&s, 4, 0);
	assert_int_equal(hmm_quiescer_add(s.mm, &ops, n, &q), 0);
	munmap(s.p, PAGE);
	settle(&s);
	assert_int_equal(hmm_mm_note(s.mm, HMM_NOTE_PROTECT, addr(&s, 1), addr(&s, 2)), 0);
	assert_int_equal(n[0], 2);
	assert_int_equal(n[1], 2);
	hmm_quiescer_remove(q);
	munmap(s.p + PAGE, PAGE);
	settle(&s);
	assert_int_equal(n[0], 2);
	space_close(&s);
}

static void a_stuck_callback_does_not_hang_the_program(void **state)
{
	struct space s;
	struct hmm_mm_stats stats = { .size = sizeof(stats) };
	uint64_t seq;
	uint64_t began;

	space_open(&s, 8, 0);
	seq = hmm_interval_read_begin(s.ni);
	s.seen.sleep_ms = 2000;
	munmap(s.p, PAGE);
	for (int i = 0; i < 5000 && !s.seen.calls; i++)
		sleep_ms(1); /* until the pump is in the callback */
	s.seen.sleep_ms = 0;
	began = clock_ns();
	munmap(s.p + 2 * PAGE, PAGE);
	assert_true(clock_ns() - began < 1500000000);
	assert_false(hmm_interval_valid(s.ni, seq));
	settle(&s); /* what the watchdog read was not lost */
	assert_int_equal(s.seen.events[HMM_EVENT_UNMAP], 2);
	assert_int_equal(s.seen.last.start, addr(&s, 2));
	hmm_mm_get_stats(s.mm, &stats);
	assert_true(stats.watchdog_reads >= 1);
	space_close(&s);
}

static void a_move_invalidates_both_ends(void **state)
{
	struct space s;
	struct seen seen = { 0 };
	struct hmm_interval_notifier *to;
	char *dst;

	space_open(&s, 4, 0);
	dst = mmap(NULL, s.bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(hmm_interval_notifier_insert(s.mm, (uint64_t)(uintptr_t)dst, s.bytes,
						      &on_ops, &seen, &to),
			 0);
	assert_ptr_equal(mremap(s.p, s.bytes, s.bytes, MREMAP_MAYMOVE | MREMAP_FIXED, dst), dst);
	settle(&s);
	assert_int_equal(s.seen.events[HMM_EVENT_MOVE], 1);
	assert_int_equal(s.seen.events[HMM_EVENT_UNMAP], 1);
	assert_int_equal(seen.events[HMM_EVENT_MOVE], 1);
	assert_false(
		region_covers(s.mm, (uint64_t)(uintptr_t)dst, (uint64_t)(uintptr_t)dst + PAGE, 0));
	hmm_interval_notifier_remove(to);
	s.p = dst;
	space_close(&s);
}

static void regions_are_whole_and_shrink_with_unmap(void **state)
{
	struct space s;
	struct hmm_mm_stats stats = { .size = sizeof(stats) };

	space_open(&s, 16, 0);
	assert_true(region_covers(s.mm, addr(&s, 0), addr(&s, 16), 0));
	assert_int_equal(watch(&s), 0);
	hmm_mm_get_stats(s.mm, &stats);
	assert_int_equal(stats.registrations, 1); /* the second call cost none */
	munmap(s.p + 4 * PAGE, PAGE);
	settle(&s);
	assert_true(region_covers(s.mm, addr(&s, 0), addr(&s, 4), 0));
	assert_false(region_covers(s.mm, addr(&s, 4), addr(&s, 5), 0));
	assert_true(region_covers(s.mm, addr(&s, 5), addr(&s, 16), 0));
	hmm_mm_get_stats(s.mm, &stats);
	assert_int_equal(stats.regions, 2);
	space_close(&s);
}

/* What was unmapped since it was looked up may come again, unregistered, and no scan would tell. */
static void without_a_scan_a_hole_is_no_region(void **state)
{
	struct hmm_mm_options o = HMM_MM_OPTIONS_INIT;
	struct space s = { 0 };
	struct hmm_vma vma;

	o.flags = HMM_MM_NO_PAGEMAP_SCAN;
	assert_int_equal(hmm_mm_attach(&o, &s.mm), 0);
	map_at(&s, NULL, 8);
	vma = anon_vma(s.p, 8 * PAGE);
	munmap(s.p + 5 * PAGE, PAGE);
	assert_int_equal(region_ensure(s.mm, &vma, vma.start, vma.end, 0), -EAGAIN);
	assert_false(region_any(s.mm, vma.start, vma.end));
	vma = anon_vma(s.p, 5 * PAGE);
	assert_int_equal(region_ensure(s.mm, &vma, vma.start, vma.end, 0), 0);
	assert_true(region_covers(s.mm, vma.start, vma.end, 0));
	hmm_mm_detach(s.mm);
	munmap(s.p, 8 * PAGE);
}

static void a_budget_of_regions_is_kept(void **state)
{
	struct hmm_mm_options o = HMM_MM_OPTIONS_INIT;
	struct space s = { 0 };
	struct hmm_vma vma;

	o.max_regions = 1;
	assert_int_equal(hmm_mm_attach(&o, &s.mm), 0);
	map_at(&s, NULL, 8);
	munmap(s.p + 2 * PAGE, PAGE);
	vma = anon_vma(s.p, 2 * PAGE);
	assert_int_equal(region_ensure(s.mm, &vma, vma.start, vma.end, 0), 0);
	vma = anon_vma(s.p + 4 * PAGE, PAGE);
	assert_int_equal(region_ensure(s.mm, &vma, vma.start, vma.end, 0), -ENOSPC);
	hmm_mm_detach(s.mm);
	munmap(s.p, s.bytes);
}

static void special_memory_is_not_registered(void **state)
{
	struct space s;
	struct hmm_vma vma;

	space_open(&s, 4, 0);
	vma = anon_vma(s.p, s.bytes);
	vma.kind = HMM_VMA_SPECIAL;
	assert_int_equal(region_ensure(s.mm, &vma, vma.start, vma.end, 0), -EOPNOTSUPP);
	vma.kind = HMM_VMA_ANON;
	assert_int_equal(region_ensure(s.mm, &vma, vma.start, vma.end + PAGE, 0), -EAGAIN);
	space_close(&s);
}

/* ---- discards ---------------------------------------------------------------------------------- */

static void *discard_then_sleep(void *arg)
{
	struct space *s = arg;

	madvise(s->p, PAGE, MADV_DONTNEED);
	sleep_ms(1000);
	return NULL;
}

static void a_discard_is_seen_and_is_settled_when_its_thread_is_elsewhere(void **state)
{
	struct space s;
	struct hmm_mm_stats stats = { .size = sizeof(stats) };
	pthread_t app;
	int rounds = 0;

	space_open(&s, 4, 0);
	pthread_create(&app, NULL, discard_then_sleep, &s);
	while (!s.seen.events[HMM_EVENT_CLEAR])
		sched_yield();
	while (discard_pending(s.mm, addr(&s, 0), addr(&s, 1)) && rounds++ < 5000)
		sleep_ms(1);
	assert_false(discard_pending(s.mm, addr(&s, 0), addr(&s, 1)));
	pthread_join(app, NULL);
	hmm_mm_get_stats(s.mm, &stats);
	assert_int_equal(stats.discards_pending, 1);
	assert_int_equal(stats.discards_settled, 1);
	space_close(&s);
}

/* A thread that was joined is on its way out of the kernel for a little longer. */
static bool settles(struct space *s, size_t page)
{
	for (int i = 0; i < 5000 && discard_pending(s->mm, addr(s, page), addr(s, page + 1)); i++)
		sleep_ms(1);
	return !discard_pending(s->mm, addr(s, page), addr(s, page + 1));
}

static void a_thread_in_the_middle_of_a_discard_keeps_all_pending(void **state)
{
	struct held_discard held;
	struct space s;
	int was_pending = 0;

	space_open(&s, 4, 0);
	held_discard_begin(&held);
	madvise(s.p, PAGE, MADV_DONTNEED);
	settle(&s);
	for (int i = 0; i < 50; i++) {
		was_pending += discard_pending(s.mm, addr(&s, 0), addr(&s, 1));
		sleep_ms(1);
	}
	assert_int_equal(was_pending, 50);
	assert_false(discard_pending(s.mm, addr(&s, 1), addr(&s, 4))); /* only that page */
	held_discard_end(&held);
	assert_true(settles(&s, 0)); /* an exited thread is no suspect */
	space_close(&s);
}

static void a_note_settles_a_discard(void **state)
{
	struct held_discard held;
	struct space s;

	space_open(&s, 4, 0);
	held_discard_begin(&held);
	madvise(s.p, PAGE, MADV_DONTNEED);
	settle(&s);
	assert_int_equal(hmm_mm_note(s.mm, HMM_NOTE_DISCARD, addr(&s, 0), addr(&s, 1)), 0);
	assert_false(discard_pending(s.mm, addr(&s, 0), addr(&s, 1)));
	held_discard_end(&held);
	space_close(&s);
}

/* Of others' discards who tells of its own knows nothing. */
static void a_note_of_ones_own_discard_leaves_others_pending(void **state)
{
	struct held_discard held;
	struct space s;

	space_open(&s, 4, 0);
	held_discard_begin(&held);
	madvise(s.p, PAGE, MADV_DONTNEED);
	settle(&s);
	assert_int_equal(hmm_mm_note(s.mm, HMM_NOTE_OWN_DISCARD, addr(&s, 0), addr(&s, 1)), 0);
	assert_true(discard_pending(s.mm, addr(&s, 0), addr(&s, 1)));
	held_discard_end(&held);
	assert_true(settles(&s, 0));
	/* Alone, it settles the discard, though it runs. */
	madvise(s.p, PAGE, MADV_DONTNEED);
	settle(&s);
	assert_int_equal(hmm_mm_note(s.mm, HMM_NOTE_OWN_DISCARD, addr(&s, 0), addr(&s, 1)), 0);
	assert_int_equal(atomic_load(&s.mm->discards.n), 0);
	space_close(&s);
}

static void memory_between_discards_has_no_pending_discard(void **state)
{
	struct held_discard held;
	struct space s;

	space_open(&s, 600, 0);
	held_discard_begin(&held);
	for (size_t i = 0; i < 600; i += 2)
		madvise(s.p + i * PAGE, PAGE, MADV_DONTNEED);
	settle(&s);
	for (size_t i = 0; i < 600; i++)
		assert_int_equal(discard_pending(s.mm, addr(&s, i), addr(&s, i + 1)), i % 2 == 0);
	held_discard_end(&held);
	assert_true(settles(&s, 0));
	space_close(&s);
}

static void discards_without_room_are_merged_not_lost(void **state)
{
	struct held_discard held;
	struct space s;

	space_open(&s, 4, 0);
	held_discard_begin(&held);
	/* As if events had been read; the second half has no room. */
	for (uint64_t i = 0; i < 2 * DISCARDS_MAX; i++)
		discard_add(s.mm, PAGE + 2 * i * PAGE, PAGE + (2 * i + 1) * PAGE);
	assert_int_equal(atomic_load(&s.mm->discards.n), DISCARDS_MAX);
	for (uint64_t i = 0; i < 2 * DISCARDS_MAX; i += 97)
		assert_true(discard_pending(s.mm, PAGE + 2 * i * PAGE, PAGE + (2 * i + 1) * PAGE));
	held_discard_end(&held);
	for (int i = 0; i < 5000 && discard_pending(s.mm, PAGE, 2 * PAGE); i++)
		sleep_ms(1);
	assert_int_equal(atomic_load(&s.mm->discards.n), 0);
	space_close(&s);
}

/* ---- fork -------------------------------------------------------------------------------------- */

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
		bad |= hmm_mm_barrier(s.mm, 0) != -ESRCH;
		bad |= hmm_interval_valid(s.ni, seq);
		bad |= fcntl(s.mm->provider.fd.fd, F_GETFD) >= 0; /* closed here */
		bad |= munmap(s.p, PAGE) != 0;                    /* and nobody is waited for */
		hmm_mm_detach(s.mm);
		_exit(bad);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(s.seen.events[HMM_EVENT_FORK] >= 1);
	assert_false(hmm_interval_valid(s.ni, seq));
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

static pid_t raw_fork(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static int exit_status(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
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
	pid = raw_fork();
	if (!pid)
		_exit(0);
	assert_int_equal(exit_status(pid), 0);
	assert_int_equal(hmm_mm_barrier(mm, 5000000000ULL), 0);
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
		pid = raw_fork();
		if (!pid)
			_exit(0);
		assert_int_equal(exit_status(pid), 0);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	settle(&s);
	assert_int_equal(s.seen.events[HMM_EVENT_FORK], s.mm->provider.event_fork ? 3 : 0);
	space_close(&s);
}

/* A child that no handler ran in has the spaces of its parent, with locks that threads of the parent hold. */
static void the_child_of_a_raw_clone_can_fork(void **state)
{
	struct space s;
	pid_t pid;

	space_open(&s, 4, 0);
	pthread_mutex_lock(&s.mm->notifier_lock);
	pid = raw_fork();
	if (!pid) {
		alarm(10);
		pid = fork();
		if (!pid)
			_exit(0);
		_exit(pid < 0 || exit_status(pid));
	}
	pthread_mutex_unlock(&s.mm->notifier_lock);
	assert_int_equal(exit_status(pid), 0);
	space_close(&s);
}

void *__real_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
int __real_madvise(void *at, size_t bytes, int advice);
int __wrap_madvise(void *at, size_t bytes, int advice);

static void *place; /* where the next mapping without a wish goes */
static struct vma_reader *looking;
static struct hmm_vma
	looked; /* what the next memory of the library lies in before it gets its flag */

void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	if (!at && place) {
		at = place;
		flags |= MAP_FIXED_NOREPLACE;
		place = NULL;
	}
	return __real_mmap(at, bytes, prot, flags, fd, offset);
}

int __wrap_madvise(void *at, size_t bytes, int advice)
{
	if (looking && advice == MADV_DONTDUMP)
		assert_int_equal(vma_peek(looking, (uint64_t)(uintptr_t)at, &looked), 0);
	return __real_madvise(at, bytes, advice);
}

static struct {
	const struct provider_ops *ops;
	char *hole;
	size_t bytes;
	char *own;
} between;

/* At the instant of the registration. */
static int watch_later(const struct provider *p, uint64_t start, uint64_t end)
{
	if (between.hole && !munmap(between.hole, between.bytes)) {
		place = between.hole;
		between.hole = NULL;
		between.own = pool_map(between.bytes);
	}
	return between.ops->watch(p, start, end);
}

/*
 * look-up of a mapping		program, another thread of the library
 *				unmaps a part, maps its own memory there
 * registers all of it
 */
UNLESS_SANITIZED static void memory_of_the_library_is_never_registered(void **state)
{
	const size_t bytes = 64 << 10;
	struct provider_ops ops;
	struct hmm_vma vma;
	struct space s;
	char *around;

	space_open(&s, 4, 0);
	around = mmap(NULL, 3 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(around, MAP_FAILED);
	assert_int_equal(vma_lookup(mm_vmas(s.mm), (uint64_t)(uintptr_t)around, &vma), 0);
	between.ops = s.mm->provider.ops;
	between.hole = around + bytes;
	between.bytes = bytes;
	ops = *s.mm->provider.ops;
	ops.watch = watch_later;
	s.mm->provider.ops = &ops;
	looking = mm_vmas(s.mm);
	assert_int_equal(region_ensure(s.mm, &vma, vma.start, vma.end, 0), -EAGAIN);
	looking = NULL;
	assert_ptr_equal(between.own, around + bytes);
	/* who looks the mapping up at that instant must not find ours in it, to be mirrored with it */
	assert_true(!looked.prot || looked.end - looked.start == bytes);
	assert_false(region_any(s.mm, (uint64_t)(uintptr_t)around + bytes,
				(uint64_t)(uintptr_t)around + 2 * bytes));
	alarm(10);
	gate_close(s.mm, 0);
	pool_unmap(between.own, bytes); /* or waits for the pump, which waits for us */
	gate_open(s.mm);
	alarm(0);
	munmap(around, bytes);
	munmap(around + 2 * bytes, bytes);
	space_close(&s);
}

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
	e->valid = hmm_interval_valid(e->ni, hmm_interval_read_begin(e->ni));
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

/* Nothing is valid any more, and events are read all the same: a thread of the library's that ends unmaps its stack. */
static void what_is_unmapped_during_the_detach_is_read(void **state)
{
	struct space s;

	space_open(&s, 4, 0);
	unmapped_late = &s;
	alarm(10);
	hmm_mm_detach(s.mm);
	alarm(0);
	unmapped_late = NULL;
	hmm_interval_notifier_remove(s.ni);
	munmap(s.p, s.bytes);
}

static char other_stack[64 << 10] __attribute__((aligned(16)));

static int ask_about_discard(void *arg)
{
	struct space *s = arg;

	s->seen.sleep_ms = discard_pending(s->mm, addr(s, 0), addr(s, 1));
	return 0;
}

/* It sees only its own threads, of which none discards. */
UNLESS_SANITIZED static void a_process_that_shares_the_memory_settles_no_discard(void **state)
{
	struct space s;
	pid_t pid;

	space_open(&s, 4, 0);
	discard_add(s.mm, addr(&s, 0), addr(&s, 1));
	pid = clone(ask_about_discard, other_stack + sizeof(other_stack), CLONE_VM | SIGCHLD, &s);
	assert_true(pid > 0);
	assert_int_equal(exit_status(pid), 0);
	assert_int_equal(s.seen.sleep_ms, 1);
	s.seen.sleep_ms = 0;
	assert_true(settles(&s, 0));
	space_close(&s);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(munmap_waits_for_an_open_section),
		cmocka_unit_test(an_engine_asleep_in_its_section_is_run_over),
		cmocka_unit_test(an_engine_that_a_debugger_stopped_is_waited_for),
		cmocka_unit_test(an_engine_that_runs_is_waited_for_a_second),
		cmocka_unit_test(a_commit_section_holds_the_pump_back),
		cmocka_unit_test(a_quiescer_brackets_every_invalidation),
		cmocka_unit_test(a_stuck_callback_does_not_hang_the_program),
		cmocka_unit_test(a_move_invalidates_both_ends),
		cmocka_unit_test(regions_are_whole_and_shrink_with_unmap),
		cmocka_unit_test(without_a_scan_a_hole_is_no_region),
		cmocka_unit_test(a_budget_of_regions_is_kept),
		cmocka_unit_test(special_memory_is_not_registered),
		cmocka_unit_test(a_discard_is_seen_and_is_settled_when_its_thread_is_elsewhere),
		cmocka_unit_test(a_thread_in_the_middle_of_a_discard_keeps_all_pending),
		cmocka_unit_test(a_note_settles_a_discard),
		cmocka_unit_test(a_note_of_ones_own_discard_leaves_others_pending),
		cmocka_unit_test(memory_between_discards_has_no_pending_discard),
		cmocka_unit_test(discards_without_room_are_merged_not_lost),
		cmocka_unit_test(fork_through_libc_is_seen_and_the_child_refuses),
		cmocka_unit_test(fork_without_the_event_is_seen_too),
		cmocka_unit_test(a_raw_clone_is_seen_with_privilege_and_its_child_refuses),
		cmocka_unit_test(a_raw_clone_before_anything_is_mirrored_is_seen),
		cmocka_unit_test(the_child_of_a_raw_clone_can_fork),
		cmocka_unit_test(a_raw_clone_without_a_free_descriptor_returns),
#if !SANITIZED /* a process that shares the memory, and mappings where they are wanted, are beyond sanitizers */
		cmocka_unit_test(a_process_that_shares_the_memory_settles_no_discard),
		cmocka_unit_test(memory_of_the_library_is_never_registered),
#endif
		cmocka_unit_test(nothing_is_valid_after_release),
		cmocka_unit_test(what_is_unmapped_during_the_detach_is_read),
		cmocka_unit_test(attach_and_detach_leak_no_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
