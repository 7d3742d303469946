// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The timelines of the protocol, each held open where it is dangerous, and run a second time with
 * the rule broken that makes it safe: then the translation must be found valid, or the test proves
 * nothing. Needs the hooks of a build with -Dmutations=true.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "base/hooks.h"
#include "base/mutation.h"
#include "held.h"
#include "memory.h"

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define PATIENCE_NS 20000000ULL /* less than the watchdog's */

/* One window, in which `act` runs once on the thread that came there. */
static struct {
	enum hmm_point window;
	_Atomic bool armed, done;
	void (*act)(void);
} at;

static struct {
	struct hmm_mm *mm;
	struct memory m;
	struct held h;
	_Atomic bool returned; /* from munmap */
	bool valid;            /* what validated use said in the window */
	int byte;              /* what the program saw there then */
	int ret;
	pid_t pump;
} t;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static void on_window(enum hmm_point window, void *arg)
{
	if (window == at.window && atomic_exchange(&at.armed, false)) {
		at.act();
		atomic_store(&at.done, true);
	}
}

static void arm(enum hmm_point window, void (*act)(void))
{
	at.window = window;
	at.act = act;
	atomic_store(&at.done, false);
	atomic_store(&at.armed, true);
	hmm_hook_fn = on_window;
}

static void open_space(const char *mutation)
{
	memset(&t, 0, sizeof(t));
	assert_int_equal(hmm_mutation_set(NULL), 0);
	while (mutation && *mutation) {
		const size_t n = strcspn(mutation, ", ");
		char name[32] = "";

		memcpy(name, mutation, n);
		assert_int_equal(hmm_mutation_set(name), 0);
		mutation += n + strspn(mutation + n, ", ");
	}
	t.mm = held_attach(0);
	assert_non_null(t.mm);
	assert_null(memory_map(&t.m, MEMORY_ANON));
}

static void close_space(void)
{
	hmm_hook_fn = NULL;
	held_drop(&t.h);
	hmm_mm_detach(t.mm);
	memory_unmap(&t.m);
	hmm_mutation_set(NULL);
}

static void hold_first_page(void)
{
	assert_int_equal(held_make(&t.h, t.mm, (uint64_t)t.m.p, HOLD_REF), 0);
	assert_true(held_valid(&t.h));
}

static void map_anew(void)
{
	uint64_t until = now_ns() + PATIENCE_NS;

	/* A hole as soon as the other thread's munmap took effect. */
	while (mmap(t.m.p, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) !=
		       t.m.p &&
	       now_ns() < until)
		;
	t.m.p[0] = 1;
	t.byte = memory_peek(&t.m, 0);
	t.valid = held_valid(&t.h);
}

static void *unmap_thread(void *arg)
{
	munmap(t.m.p, t.m.len);
	t.returned = true;
	return NULL;
}

static void unmap_once(enum hmm_point window, void (*act)(void), const char *mutation)
{
	pthread_t thread;

	open_space(mutation);
	hold_first_page();
	arm(window, act);
	assert_int_equal(pthread_create(&thread, NULL, unmap_thread, NULL), 0);
	pthread_join(thread, NULL);
	assert_int_equal(hmm_mm_barrier(t.mm, HMM_FOREVER), 0);
	while (!atomic_load(&at.done))
		sched_yield();
	assert_int_equal(t.byte, 1);
	assert_int_equal(held_byte(&t.h), OLD_BYTE);
	hmm_hook_fn = NULL;
}

/*
 * A broken rule shows what it kept from happening, but not where the watchdog read in the pump's
 * place: it does if the pump gets no processor for its time.
 */
static void unmap_with(enum hmm_point window, void (*act)(void), const char *mutation)
{
	unmap_once(window, act, mutation);
	for (int tries = 50; mutation && !t.valid && tries; tries--) {
		close_space();
		unmap_once(window, act, mutation);
	}
}

/*
 * A		pump			C
 * munmap X
 * (blocked)	polled, no more
 *					maps X anew, uses what it held of X:
 *					sequence unchanged, pump idle
 */
static void a_change_in_flight_refuses_everyone(void **state)
{
	unmap_with(HMM_POINT_POLLED, map_anew, NULL);
	assert_false(t.valid);
	close_space();
	unmap_with(HMM_POINT_POLLED, map_anew, "no-probe");
	assert_true(t.valid);
	close_space();
}

static void wait_returned_and_map(void)
{
	uint64_t until = now_ns() + PATIENCE_NS;

	while (!t.returned && now_ns() < until)
		;
	map_anew();
}

/*
 * A			pump			C
 * munmap X queued	odd, quiesce, read
 * resumes, maps X	(not yet invalidated)	uses what it held of X:
 *						nothing in flight, sequence unchanged
 *			invalidate, even
 */
static void between_read_and_invalidation_nothing_is_valid(void **state)
{
	unmap_with(HMM_POINT_READ, wait_returned_and_map, NULL);
	assert_true(t.returned);
	assert_false(t.valid);
	close_space();
	unmap_with(HMM_POINT_READ, wait_returned_and_map, "no-odd");
	assert_true(t.valid);
	close_space();
}

static void look_whether_returned(void)
{
	uint64_t until = now_ns() + PATIENCE_NS;

	while (!t.returned && now_ns() < until)
		;
	t.valid = t.returned;
	t.byte = 1;
}

/* The caller of munmap runs on only when the devices have stopped. */
static void the_caller_resumes_after_the_quiesce(void **state)
{
	/* The caller resumes earlier where the pump gets no processor for the watchdog's time. */
	for (int tries = 50; tries; tries--) {
		unmap_with(HMM_POINT_QUIESCED, look_whether_returned, NULL);
		close_space();
		if (!t.valid)
			break;
	}
	assert_false(t.valid);
	unmap_with(HMM_POINT_QUIESCED, look_whether_returned, "read-first");
	assert_true(t.valid);
	close_space();
}

static void replace_tail(void)
{
	/* Neither is registered yet: no event. The second comes when the first half has been. */
	munmap(t.m.p + 2 * PAGE, 2 * PAGE);
}

static void map_tail(void)
{
	t.ret = mmap(t.m.p + 2 * PAGE, 2 * PAGE, RW,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == t.m.p + 2 * PAGE
			? 0
			: -errno;
}

static void registered(void)
{
	map_tail();
}

static void killed(void)
{
	replace_tail();
	arm(HMM_POINT_REGISTERED, registered);
}

/*
 * fault of the head			program
 * look-up: head and tail, one VMA
 *					unmaps the tail: no event, it is not registered
 * registers what is there: the head
 *					maps the tail anew
 * remembers both				a fault of the tail believes it to be registered
 */
static void a_tail_run(const char *mutation)
{
	struct held head;

	open_space(mutation);
	arm(HMM_POINT_KILLED, killed);
	assert_int_equal(held_make(&head, t.mm, (uint64_t)t.m.p, HOLD_REF), 0);
	assert_int_equal(t.ret, 0);
	hmm_hook_fn = NULL;
	t.m.p[3 * PAGE] = OLD_BYTE;
	assert_int_equal(held_make(&t.h, t.mm, (uint64_t)t.m.p + 3 * PAGE, HOLD_REF), 0);
	munmap(t.m.p + 2 * PAGE, 2 * PAGE);
	t.valid = held_installed(&t.h) && held_valid(&t.h);
	held_drop(&head);
}

static void what_was_not_there_when_it_was_registered_is_not_believed(void **state)
{
	a_tail_run(NULL);
	assert_false(t.valid);
	close_space();
	/*
	 * Two rules keep it from being believed: what is there is looked up again, and a scan has
	 * the last word.
	 */
	a_tail_run("split-vma");
	assert_false(t.valid);
	close_space();
	a_tail_run("keep-region");
	assert_false(t.valid);
	close_space();
	a_tail_run("split-vma, keep-region");
	assert_true(t.valid);
	close_space();
}

static void who_am_i(void)
{
	t.pump = (pid_t)syscall(SYS_gettid);
	t.byte = 1;
}

/* A handler of the program must never run there. */
static void the_pump_blocks_all_signals(void **state)
{
	unsigned long long blocked = 0;
	char path[64], line[128];
	FILE *f;

	unmap_with(HMM_POINT_READ, who_am_i, NULL);
	snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)t.pump);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "SigBlk: %llx", &blocked) == 1)
			break;
	fclose(f);
	/* All but KILL and STOP, and the two that the C library keeps for itself. */
	blocked |= 1ULL << 8 | 1ULL << 18 | 3ULL << 31;
	assert_int_equal(blocked, ~0ULL);
	close_space();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_in_flight_refuses_everyone),
		cmocka_unit_test(between_read_and_invalidation_nothing_is_valid),
		cmocka_unit_test(the_caller_resumes_after_the_quiesce),
		cmocka_unit_test(what_was_not_there_when_it_was_registered_is_not_believed),
		cmocka_unit_test(the_pump_blocks_all_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
