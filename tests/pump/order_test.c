// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Several read events: the pump and thieves. Where pages belong that are in device memory depends on
 * the order.
 */
#include "common/devmem.h"

#include "pump/steal.h"

#include <pthread.h>
#include <time.h>

#define PAGES 16

struct program {
	char *from;
	char *to;
	_Atomic bool moved;
	struct hmm_mm *mm; /* not NULL: no thief reads after the first call */
	bool keeps;        /* there is no second call */
};

static void pause_ms(long ms)
{
	const struct timespec t = { 0, ms * 1000000 };

	nanosleep(&t, NULL);
}

static void stop_thieves(struct hmm_mm *mm)
{
	atomic_fetch_add(&mm->moving, 1);
	while (mm->thieves[THIEF_KEEPER].busy)
		pause_ms(1);
}

/* Both calls wait until somebody has read their event. */
static void *move_and_discard(void *arg)
{
	struct program *p = arg;

	assert_ptr_equal(
		mremap(p->from, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p->to),
		p->to);
	if (p->mm)
		stop_thieves(p->mm);
	p->moved = true;
	if (!p->keeps)
		assert_int_equal(madvise(p->to, PAGES * PAGE, MADV_DONTNEED), 0);
	return NULL;
}

/* Reads what waits as the watchdog would, which it does later. */
static void steal(struct hmm_mm *mm)
{
	struct thief *t = &mm->thieves[THIEF_WATCHDOG];

	t->last_seq = atomic_load(&mm->pump_seq);
	steal_close(mm);
	steal_read(mm, t, NULL);
}

static void scene_open(struct with_devmem *w, struct program *p)
{
	devmem_open(w, REGION, 0);
	*p = (struct program){ .to = map_anon(PAGES * PAGE, RW),
			       .from = map_anon(PAGES * PAGE, RW) };
	number(p->from, PAGES, 5);
	assert_int_equal(to_device(w, p->from, PAGES), 0);
}

static void scene_close(struct with_devmem *w, struct program *p)
{
	for (size_t i = 0; i < PAGES; i++)
		assert_int_equal(*(volatile unsigned int *)(p->to + i * PAGE),
				 p->keeps ? 5 + i : 0);
	munmap(p->to, PAGES * PAGE);
	devmem_close(w);
}

static void what_was_moved_and_discarded_is_zero(void **state)
{
	struct with_devmem w;
	struct program p;
	pthread_t thread;

	(void)state;
	scene_open(&w, &p);
	/* The pump waits for the lock, and so reads nothing. */
	pthread_mutex_lock(&w.m.mm->region_lock);
	assert_int_equal(pthread_create(&thread, NULL, move_and_discard, &p), 0);
	while (!p.moved) {
		steal(w.m.mm);
		pause_ms(0);
	}
	pause_ms(1);
	pthread_mutex_unlock(&w.m.mm->region_lock);
	pthread_join(thread, NULL);
	scene_close(&w, &p);
}

/* ---- who reads is stopped in its turn, and the keeper reads ---------------------------------- */

int __real_provider_uffd_read_fork(int fd, struct provider_event *events, int max);
int __wrap_provider_uffd_read_fork(int fd, struct provider_event *events, int max);

/* Who reads to there is held, before the kernel is asked or after it. */
static struct {
	struct provider_event *volatile events;
	bool after;
	_Atomic bool held;
	_Atomic bool go;
} stop;

static void be_stopped(void)
{
	stop.held = true;
	while (!stop.go)
		pause_ms(1);
}

/* The keeper comes here, too, which is no thread (pump/keeper.c). */
__attribute__((no_sanitize("address", "thread"))) int
__wrap_provider_uffd_read_fork(int fd, struct provider_event *events, int max)
{
	int n;

	if (events != stop.events)
		return __real_provider_uffd_read_fork(fd, events, max);
	if (!stop.after)
		be_stopped();
	n = __real_provider_uffd_read_fork(fd, events, max);
	if (stop.after && n > 0)
		be_stopped();
	if (stop.held)
		stop.events = NULL;
	return n;
}

static void stop_at(struct provider_event *events, bool after)
{
	stop.after = after;
	stop.held = stop.go = false;
	stop.events = events;
}

/* The keeper reads the move, and who was stopped the discard. */
static void the_keeper_comes_before(bool pump)
{
	struct with_devmem w;
	struct program p;
	pthread_t thread;
	struct hmm_mm *mm;

	scene_open(&w, &p);
	mm = w.m.mm;
	p.mm = mm;
	if (!pump)
		pthread_mutex_lock(&mm->region_lock);
	stop_at(pump ? mm->fresh : mm->thieves[THIEF_WATCHDOG].fresh, false);
	assert_int_equal(pthread_create(&thread, NULL, move_and_discard, &p), 0);
	while (!p.moved)
		pause_ms(1);
	assert_true(stop.held);
	while (!mm_event_waits(mm))
		pause_ms(1);
	stop.go = true;
	pthread_join(thread, NULL);
	atomic_fetch_sub(&mm->moving, 1);
	if (!pump)
		pthread_mutex_unlock(&mm->region_lock);
	scene_close(&w, &p);
}

/* Who was stopped has read the move, and the keeper reads that nothing is left where it was. */
static void the_keeper_comes_after(bool pump)
{
	struct with_devmem w;
	struct program p;
	pthread_t thread;

	scene_open(&w, &p);
	p.keeps = true;
	if (!pump)
		pthread_mutex_lock(&w.m.mm->region_lock);
	stop_at(pump ? w.m.mm->fresh : w.m.mm->thieves[THIEF_WATCHDOG].fresh, true);
	assert_int_equal(pthread_create(&thread, NULL, move_and_discard, &p), 0);
	pthread_join(thread, NULL);
	assert_true(stop.held);
	stop.go = true;
	if (!pump)
		pthread_mutex_unlock(&w.m.mm->region_lock);
	scene_close(&w, &p);
}

static void the_keeper_reads_before_the_pump(void **state)
{
	(void)state;
	the_keeper_comes_before(true);
}

static void the_keeper_reads_before_the_watchdog(void **state)
{
	(void)state;
	the_keeper_comes_before(false);
}

static void the_keeper_reads_after_the_pump(void **state)
{
	(void)state;
	the_keeper_comes_after(true);
}

static void the_keeper_reads_after_the_watchdog(void **state)
{
	(void)state;
	the_keeper_comes_after(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_moved_and_discarded_is_zero),
		cmocka_unit_test(the_keeper_reads_before_the_pump),
		cmocka_unit_test(the_keeper_reads_before_the_watchdog),
		cmocka_unit_test(the_keeper_reads_after_the_pump),
		cmocka_unit_test(the_keeper_reads_after_the_watchdog),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
