// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The records of a monitor, with a peer that only notes what it is told. table_victim() is wrapped
 * by the linker: what it has chosen may change before the record is given up.
 */
#include "../../monitor/monitor.h"
#include "../../monitor/record.h"
#include "../../monitor/space.h"
#include "../../monitor/table.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

#define PAGE 4096UL
/* From that many on records are given up for new ones. */
#define CROWD (TABLE_RECORDS - TABLE_RECORDS / 16)

static char *area;
static _Atomic unsigned int told[TABLE_RECORDS]; /* how often, by the page of the area */
static _Atomic bool held;                        /* the deliverer waits in the peer */
static _Atomic bool release;

static void deliver(uint64_t addr, uint64_t len)
{
	(void)len;
	atomic_store(&held, true);
	while (!atomic_load(&release))
		sched_yield();
	told[(addr - (uintptr_t)area) / PAGE]++;
}

const struct monitor monitor = { .name = "test", .deliver = deliver };

struct monitor_counters *monitor_counters(void)
{
	return &stats_get()->ofi;
}

static bool unmap_victims;
static unsigned int unmapped;

struct record *__real_table_victim(void);
struct record *__wrap_table_victim(void);
struct record *__wrap_table_victim(void)
{
	struct record *r = __real_table_victim();

	if (!r || !unmap_victims)
		return r;
	if (munmap((void *)(uintptr_t)r->addr, PAGE))
		abort();
	while (atomic_load(&r->state) != RECORD_DEAD)
		sched_yield();
	unmapped++;
	return r;
}

static uint64_t page(unsigned int i)
{
	return (uintptr_t)area + i * PAGE;
}

/* It begins a watch, which a busy machine may take too long over: then it is asked again. */
static void subscribe(unsigned int i)
{
	int err;

	do
		err = record_subscribe(page(i), PAGE);
	while (err == -ETIME || err == -EBUSY);
	assert_int_equal(err, -EAGAIN);
}

/* A record that died while it was chosen is with the deliverer already, and comes there once. */
static void what_dies_as_it_is_given_up_is_told_once(void **state)
{
	unsigned int all = 0;
	unsigned int n = 0;

	(void)state;
	area = mmap(NULL, TABLE_RECORDS * PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(area, MAP_FAILED);
	while (n < CROWD)
		subscribe(n++);
	/* Something to deliver, while more comes. */
	assert_int_equal(munmap((void *)(uintptr_t)page(n - 1), PAGE), 0);
	while (!atomic_load(&held))
		sched_yield();
	/* Each new one from now on looks for victims. Those that were used get another turn. */
	unmap_victims = true;
	while (!unmapped && n < TABLE_RECORDS)
		record_subscribe(page(n++), PAGE);
	unmap_victims = false;
	assert_in_range(unmapped, 1, TABLE_ROOM);
	atomic_store(&release, true);
	while (all < unmapped + 1) {
		all = 0;
		for (unsigned int i = 0; i < TABLE_RECORDS; i++) {
			assert_in_range(atomic_load(&told[i]), 0, 1);
			all += atomic_load(&told[i]);
		}
	}
}

static int begin(void **state)
{
	(void)state;
	if (record_start()) {
		print_message("this process cannot have a userfaultfd\n");
		exit(77);
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_dies_as_it_is_given_up_is_told_once),
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
