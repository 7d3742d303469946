// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The gate: it waits for sections that are open, for so long as their threads can be waited for. */
#include "common/space.h"
#include "engine/gate.h"
#include "base/deadline.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

struct worker {
	struct hmm_engine *engine;
	_Atomic int inside;
	_Atomic int stop;
	int asleep;        /* as if in a fault that is not served */
	_Atomic int stood; /* -1 not known yet */
};

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

/* The machine may be busy: twenty seconds, where microseconds do. */
static bool wait_for_poll(struct hmm_engine *engine)
{
	for (int i = 0; i < 20000 && !hmm_engine_poll(engine); i++)
		sleep_ms(1);
	return hmm_engine_poll(engine);
}

/*
 * An engine that runs is waited for a second, and a busy machine may take that long: then the test
 * proves nothing, and is made again.
 */
static void before_a_second(bool (*test)(void))
{
	bool before = false;

	for (int i = 0; i < 20 && !before; i++)
		before = test();
	assert_true(before);
}

#define SHORT_NS 900000000ULL

static bool unmap_beside_an_open_section(void)
{
	struct space s;
	struct worker w = { .stood = -1 };
	pthread_t engine;
	pthread_t app;
	uint64_t began, took;
	int before;

	space_open(&s, 4, 0);
	assert_int_equal(hmm_engine_create(s.mm, &w.engine), 0);
	pthread_create(&engine, NULL, stay_inside, &w);
	while (!w.inside)
		sched_yield();
	began = clock_ns();
	pthread_create(&app, NULL, unmap_first_page, &s);
	wait_for_poll(w.engine);
	sleep_ms(3);
	before = s.seen.calls;
	w.stop = 1;
	pthread_join(engine, NULL);
	took = clock_ns() - began;
	pthread_join(app, NULL);
	settle(&s);
	if (took < SHORT_NS) {
		assert_int_equal(before, 0);
		assert_true(w.stood);
	}
	assert_int_equal(s.seen.calls, 1);
	hmm_engine_destroy(w.engine);
	space_close(&s);
	return took < SHORT_NS;
}

static void munmap_waits_for_an_open_section(void **state)
{
	before_a_second(unmap_beside_an_open_section);
}

/* How long it takes until an engine that stays in its section is run over. */
static uint64_t overrun_case(int asleep)
{
	struct space s;
	struct worker w = { .stood = -1, .asleep = asleep };
	struct hmm_mm_stats stats = { .size = sizeof(stats) };
	pthread_t engine;
	uint64_t began, took;

	space_open(&s, 4, 0);
	assert_int_equal(hmm_engine_create(s.mm, &w.engine), 0);
	pthread_create(&engine, NULL, stay_inside, &w);
	while (!w.inside)
		sched_yield();
	began = clock_ns();
	munmap(s.p, PAGE); /* returns all the same, but not before the section is run over */
	settle(&s);
	took = clock_ns() - began;
	assert_int_equal(s.seen.calls, 1);
	w.stop = 1;
	pthread_join(engine, NULL);
	assert_false(w.stood);
	hmm_mm_get_stats(s.mm, &stats);
	assert_int_equal(stats.overruns, 1);
	hmm_engine_destroy(w.engine);
	space_close(&s);
	return took;
}

/* In less time than one that runs; on a busy machine it may not sleep yet. */
static bool run_over_asleep(void)
{
	const uint64_t took = overrun_case(1);

	assert_true(took >= 5000000);
	return took < SHORT_NS;
}

static void an_engine_asleep_in_its_section_is_run_over(void **state)
{
	before_a_second(run_over_asleep);
}

static void an_engine_that_runs_is_waited_for_a_second(void **state)
{
	assert_in_range(overrun_case(0), SHORT_NS, 40000000000ULL);
}

#define STOPPED_MS 300

/* A process stops the thread that it is told of, says if it could, and lets it go later. */
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
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(down[0], &tid, sizeof(tid)) == sizeof(tid) && !ptrace(PTRACE_SEIZE, tid, 0, 0) &&
	    !ptrace(PTRACE_INTERRUPT, tid, 0, 0) && waitpid(tid, NULL, __WALL) == tid)
		said = 'y';
	if (write(up[1], &said, 1) == 1)
		sleep_ms(STOPPED_MS);
	ptrace(PTRACE_DETACH, tid, 0, 0);
	_exit(0);
}

/* True: it was stopped for less than a second, or could not be. */
static bool unmap_beside_a_stopped_engine(void)
{
	struct hmm_mm_stats stats = { .size = sizeof(stats) };
	struct worker w = { .stood = -1 };
	struct space s;
	int to, from;
	pid_t debugger = start_debugger(&to, &from), tid;
	char said = 0;
	pthread_t engine;
	uint64_t began;
	bool before;

	space_open(&s, 4, 0);
	assert_int_equal(hmm_engine_create(s.mm, &w.engine), 0);
	pthread_create(&engine, NULL, stay_inside, &w);
	while (!w.inside)
		sched_yield();
	tid = atomic_load(&w.engine->tid);
	assert_int_equal(write(to, &tid, sizeof(tid)), sizeof(tid));
	assert_int_equal(read(from, &said, 1), 1);
	w.stop = 1;
	began = clock_ns();
	munmap(s.p, PAGE);
	settle(&s);
	pthread_join(engine, NULL);
	before = clock_ns() - began < SHORT_NS;
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
	if (before) {
		assert_true(w.stood);
		assert_int_equal(stats.overruns, 0);
	}
	return before;
}

/* It is in the middle of something, and will go on from there. */
static void an_engine_that_a_debugger_stopped_is_waited_for(void **state)
{
	before_a_second(unmap_beside_a_stopped_engine);
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
	hmm_mm_commit_begin(s.mm);
	pthread_create(&app, NULL, unmap_first_page, &s);
	for (int i = 0; i < 20000 && !known; i++) {
		sleep_ms(1);
		known = hmm_interval_read_retry(s.ni, seq); /* the probe or the pump knows */
	}
	before = s.seen.calls;
	hmm_mm_commit_end(s.mm);
	pthread_join(app, NULL);
	settle(&s);
	assert_true(known);
	assert_int_equal(before, 0);
	assert_int_equal(s.seen.calls, 1);
	space_close(&s);
}

struct bracket {
	_Atomic int begins, ends;
};

static void count_quiesce(void *priv)
{
	((struct bracket *)priv)->begins++;
}

static void count_resume(void *priv)
{
	((struct bracket *)priv)->ends++;
}

/* On a busy machine a thief may stop it once more, after the pump has read. */
static void until_resumed(struct bracket *n)
{
	for (int i = 0; i < 20000 && n->ends != n->begins; i++)
		sleep_ms(1);
	assert_int_equal(n->ends, n->begins);
}

static void a_quiescer_brackets_every_invalidation(void **state)
{
	static const struct hmm_quiescer_ops ops = { sizeof(ops), count_quiesce, count_resume };
	struct hmm_quiescer *q;
	struct space s;
	struct bracket n = { 0, 0 };
	int before;

	space_open(&s, 4, 0);
	assert_int_equal(hmm_quiescer_add(s.mm, &ops, &n, &q), 0);
	munmap(s.p, PAGE);
	settle(&s);
	until_resumed(&n);
	before = n.begins;
	assert_true(before >= 1);
	assert_int_equal(hmm_mm_note(s.mm, HMM_NOTE_PROTECT, addr(&s, 1), addr(&s, 2)), 0);
	assert_true(n.begins > before);
	until_resumed(&n);
	hmm_quiescer_remove(q);
	before = n.begins;
	munmap(s.p + PAGE, PAGE);
	settle(&s);
	assert_int_equal(n.begins, before);
	space_close(&s);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
