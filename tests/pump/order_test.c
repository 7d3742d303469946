// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The pump reads an event while a thief has an older one that was not handled. Where pages belong
 * that are in device memory depends on the order.
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
};

/* Both calls wait until somebody has read their event. */
static void *move_and_discard(void *arg)
{
	struct program *p = arg;

	assert_ptr_equal(
		mremap(p->from, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p->to),
		p->to);
	p->moved = true;
	assert_int_equal(madvise(p->to, PAGES * PAGE, MADV_DONTNEED), 0);
	return NULL;
}

static void pause_ms(long ms)
{
	const struct timespec t = { 0, ms * 1000000 };

	nanosleep(&t, NULL);
}

/* Reads what waits as the watchdog would, which it does later. */
static void steal(struct hmm_mm *mm)
{
	struct thief *t = &mm->thieves[THIEF_WATCHDOG];

	t->last_seq = atomic_load(&mm->pump_seq);
	steal_close(mm);
	steal_read(mm, t, NULL);
}

static void what_was_moved_and_discarded_is_zero(void **state)
{
	struct with_devmem w;
	struct program p = { 0 };
	pthread_t thread;

	(void)state;
	devmem_open(&w, REGION, 0);
	p.to = map_anon(PAGES * PAGE, RW);
	p.from = map_anon(PAGES * PAGE, RW);
	number(p.from, PAGES, 5);
	assert_int_equal(to_device(&w, p.from, PAGES), 0);
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
	for (size_t i = 0; i < PAGES; i++)
		assert_int_equal(*(volatile unsigned int *)(p.to + i * PAGE), 0);
	munmap(p.to, PAGES * PAGE);
	devmem_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_moved_and_discarded_is_zero),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
