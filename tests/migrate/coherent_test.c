// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Coherent device memory: pages stay at their address and become the region's. */
#include "common/devmem.h"
#include "common/huge.h"
#include "kernel/abi/pagemap.h"
#include "kernel/abi/uffd.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static struct with_devmem with;

static int open_region(void **state, size_t bytes, uint32_t flags)
{
	devmem_open(&with, bytes, flags | HMM_DEVMEM_COHERENT);
	*state = &with;
	return 0;
}

static int setup(void **state)
{
	return open_region(state, REGION, 0);
}

static int setup_small(void **state)
{
	return open_region(state, 2 * MIB, 0);
}

static int setup_evicting(void **state)
{
	return open_region(state, 2 * MIB, HMM_DEVMEM_EVICT);
}

static int teardown(void **state)
{
	devmem_close(*state);
	return 0;
}

static struct hmm_devmem_stats stats_of(const struct with_devmem *w)
{
	struct hmm_devmem_stats s = { .size = sizeof(s) };

	assert_int_equal(hmm_devmem_get_stats(w->d, &s), 0);
	return s;
}

/* The worker frees what a discard has left. */
static void wait_used(const struct with_devmem *w, uint64_t bytes)
{
	for (int i = 0; i < 10000 && stats_of(w).used != bytes; i++)
		usleep(1000);
	assert_int_equal(stats_of(w).used, bytes);
}

/* How many of the pages are in coherent memory of `owner`; all are where the program has them. */
static size_t coherent(struct with_devmem *w, const char *p, size_t pages, void *owner)
{
	size_t n = 0;

	assert_int_equal(pages_away(w, p, pages, owner), 0);
	for (size_t i = 0; i < pages; i++) {
		const uint64_t pfn = w->m.pfns[i];

		if (!(pfn & HMM_PFN_DEVICE_COHERENT))
			continue;
		assert_true(pfn & HMM_PFN_VALID);
		assert_int_equal(hmm_pfn_to_addr(pfn), at(p) + i * PAGE);
		n++;
	}
	return n;
}

/* Of a privileged process; 0: it is hidden. */
static uint64_t frame_number(struct with_devmem *w, const char *p)
{
	uint64_t word = 0;

	assert_int_equal(pagemap_words(mm_pagemap(w->m.mm), at(p), 1, &word), 0);
	return word & PM_WORD_PRESENT ? word & PM_WORD_PFN : 0;
}

static void pages_stay_at_their_address_and_are_others(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(16 * PAGE, RW);
	uint64_t frame;

	number(p, 16, 1);
	frame = frame_number(w, p);
	assert_int_equal(to_device(w, p, 8), 0);
	assert_int_equal(w->result.moved, 8);
	assert_int_equal(coherent(w, p, 16, w), 8);
	if (frame)
		assert_int_not_equal(frame_number(w, p), frame);
	/* No touch is a fault, and it stays there. */
	assert_numbered(p, 16, 1);
	number(p, 16, 101);
	assert_int_equal(coherent(w, p, 16, w), 8);
	assert_numbered(p, 16, 101);
	assert_int_equal(stats_of(w).used, 8 * PAGE);
	assert_int_equal(stats_of(w).moved_out, 8 * PAGE);
	assert_int_equal(stats_of(w).faults, 0);
	assert_int_equal(to_device(w, p, 16), 0);
	assert_int_equal(w->result.already, 8);
	assert_int_equal(w->result.moved, 8);
	assert_numbered(p, 16, 101);
	munmap(p, 16 * PAGE);
}

/*
 * Stands in for a kernel that has no memory for a copy of a page on its way. Other copies ask the
 * kernel what is registered.
 */
static _Atomic bool no_copy;

static bool is_of_transit(const struct uffdio_copy *c)
{
	const struct hmm_devmem *t = with.d->transit;

	return c->src >= t->base && c->src < t->base + t->options.bytes;
}

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg);

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	if (request != UFFDIO_COPY || !atomic_load(&no_copy) || !is_of_transit(arg))
		return __real_ioctl(fd, request, arg);
	((struct uffdio_copy *)arg)->copy = -ENOMEM;
	errno = ENOMEM;
	return -1;
}

static void without_memory_for_a_copy_no_page_is_stuck(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(8 * PAGE, RW);
	uint64_t frame;

	number(p, 8, 1);
	assert_int_equal(to_device(w, p, 4), 0);
	frame = frame_number(w, p);
	atomic_store(&no_copy, true);
	assert_int_equal(to_device(w, p, 8), -ENOMEM);
	assert_int_equal(coherent(w, p, 8, w), 4);
	assert_int_equal(to_system(w, p, 8), 0);
	assert_int_equal(coherent(w, p, 8, w), 0);
	if (frame)
		assert_int_equal(frame_number(w, p), frame);
	atomic_store(&no_copy, false);
	assert_numbered(p, 8, 1);
	wait_used(w, 0);
	munmap(p, 8 * PAGE);
}

static void for_others_they_are_pages_as_any(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(4 * PAGE, RW);

	number(p, 4, 1);
	assert_int_equal(to_device(w, p, 4), 0);
	assert_int_equal(coherent(w, p, 4, &w->d), 0);
	for (size_t i = 0; i < 4; i++)
		assert_true(w->m.pfns[i] & HMM_PFN_VALID);
	assert_int_equal(coherent(w, p, 4, NULL), 0);
	assert_int_equal(coherent(w, p, 4, w), 4);
	munmap(p, 4 * PAGE);
}

static void they_come_home_when_asked_to_or_with_the_region(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(8 * PAGE, RW);
	struct hmm_devmem *d;
	uint64_t frame;

	number(p, 8, 1);
	assert_int_equal(to_device(w, p, 8), 0);
	frame = frame_number(w, p);
	assert_int_equal(to_system(w, p, 4), 0);
	if (frame)
		assert_int_not_equal(frame_number(w, p), frame);
	assert_int_equal(coherent(w, p, 8, w), 4);
	assert_numbered(p, 8, 1);
	wait_used(w, 4 * PAGE);
	assert_int_equal(stats_of(w).moved_home, 4 * PAGE);
	assert_int_equal(hmm_evict_all(w->m.mm, HMM_FOREVER), 0);
	assert_int_equal(coherent(w, p, 8, w), 0);
	wait_used(w, 0);
	assert_int_equal(make_region(w, 2 * MIB, HMM_DEVMEM_COHERENT, &d, &d), 0);
	assert_int_equal(hmm_migrate_to_device(d, at(p), at(p) + 8 * PAGE, HMM_FOREVER, NULL), 0);
	assert_int_equal(coherent(w, p, 8, &d), 8);
	/* A page of one device does not go to another. */
	assert_int_equal(to_device(w, p, 8), -ENOENT);
	assert_int_equal(w->result.left[HMM_MIGRATE_ELSEWHERE], 8);
	assert_int_equal(hmm_devmem_destroy(d, HMM_FOREVER), 0);
	assert_int_equal(coherent(w, p, 8, &d), 0);
	assert_numbered(p, 8, 1);
	munmap(p, 8 * PAGE);
}

static void what_the_program_does_to_them_is_followed(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(8 * PAGE, RW), *q = map_anon(8 * PAGE, RW);

	number(p, 8, 1);
	assert_int_equal(to_device(w, p, 8), 0);
	assert_int_equal(madvise(p, PAGE, MADV_DONTNEED), 0);
	assert_int_equal(hmm_mm_barrier(w->m.mm, HMM_FOREVER), 0);
	assert_int_equal(*(volatile int *)p, 0);
	wait_used(w, 7 * PAGE);
	assert_int_equal(stats_of(w).dropped, PAGE);
	munmap(p + 7 * PAGE, PAGE);
	wait_used(w, 6 * PAGE);
	assert_ptr_equal(mremap(p + PAGE, 6 * PAGE, 6 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q), q);
	assert_int_equal(hmm_mm_barrier(w->m.mm, HMM_FOREVER), 0);
	assert_int_equal(coherent(w, q, 6, w), 6);
	assert_numbered(q, 6, 2);
	wait_used(w, 6 * PAGE);
	munmap(q, 8 * PAGE);
	wait_used(w, 0);
	munmap(p, PAGE);
}

static void a_fork_makes_them_the_systems(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(4 * PAGE, RW);
	int status;
	pid_t pid;

	number(p, 4, 1);
	assert_int_equal(to_device(w, p, 4), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		for (unsigned int i = 0; i < 4; i++)
			if (*(unsigned int *)(p + i * PAGE) != 1 + i)
				_exit(1);
		number(p, 4, 50);
		_exit(0);
	}
	number(p, 4, 101);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_numbered(p, 4, 101);
	assert_int_equal(coherent(w, p, 4, w), 0);
	wait_used(w, 0);
	assert_int_equal(to_device(w, p, 4), 0);
	assert_int_equal(coherent(w, p, 4, w), 4);
	munmap(p, 4 * PAGE);
}

static void a_full_region_leaves_the_rest(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(4 * MIB, RW);

	madvise(p, 4 * MIB, MADV_NOHUGEPAGE);
	number(p, 1024, 1);
	assert_int_equal(to_device(w, p, 1024), 0);
	assert_int_equal(w->result.moved, 512);
	assert_int_equal(w->result.left[HMM_MIGRATE_EXHAUSTED], 512);
	assert_numbered(p, 1024, 1);
	munmap(p, 4 * MIB);
}

static void a_full_region_makes_room(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(2 * MIB, RW), *q = map_anon(2 * MIB, RW);

	madvise(p, 2 * MIB, MADV_NOHUGEPAGE);
	madvise(q, 2 * MIB, MADV_NOHUGEPAGE);
	number(p, 512, 1);
	number(q, 512, 1001);
	assert_int_equal(to_device(w, p, 512), 0);
	assert_int_equal(to_device(w, q, 512), 0);
	assert_int_equal(w->result.moved, 512);
	assert_true(stats_of(w).evicted >= 512 * PAGE);
	assert_int_equal(coherent(w, p, 512, w), 0);
	assert_int_equal(coherent(w, q, 512, w), 512);
	assert_numbered(p, 512, 1);
	assert_numbered(q, 512, 1001);
	munmap(p, 2 * MIB);
	munmap(q, 2 * MIB);
}

static void huge_and_untouched_pages_become_small_ones(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(4 * MIB, RW);

	madvise(p, 2 * MIB, MADV_HUGEPAGE);
	number(p, 512, 1);
	ask_for_huge_pages(p, 2 * MIB);
	assert_int_equal(to_device(w, p, 520), 0);
	assert_int_equal(w->result.moved, 520);
	assert_int_equal(w->result.huge, 0);
	assert_int_equal(coherent(w, p, 512, w), 512);
	assert_numbered(p, 512, 1);
	assert_int_equal(p[512 * PAGE], 0);
	munmap(p, 4 * MIB);
}

static void nodes_are_checked_and_used(void **state)
{
	struct with_devmem *w = *state;
	struct hmm_devmem_options o = { .size = sizeof(o), .bytes = 2 * MIB, .owner = &o };
	char *p = map_anon(4 * PAGE, RW);
	struct hmm_devmem *d;
	int ret;

	o.nodes = 1;
	assert_int_equal(hmm_devmem_create(w->m.mm, &o, &d), -EINVAL); /* private */
	o.flags = HMM_DEVMEM_COHERENT;
	o.nodes = 1ULL << 63;
	ret = hmm_devmem_create(w->m.mm, &o, &d);
	assert_true(ret == -EINVAL || ret == -EOPNOTSUPP);
	o.nodes = 1;
	if (ret == -EOPNOTSUPP || hmm_devmem_create(w->m.mm, &o, &d))
		skip();
	number(p, 4, 1);
	assert_int_equal(hmm_migrate_to_device(d, at(p), at(p) + 4 * PAGE, HMM_FOREVER, NULL), 0);
	assert_int_equal(coherent(w, p, 4, &o), 4);
	assert_int_equal(hmm_devmem_destroy(d, HMM_FOREVER), 0);
	assert_numbered(p, 4, 1);
	munmap(p, 4 * PAGE);
}

struct counter {
	char *p;
	_Atomic bool stop;
	unsigned long counted;
};

static void *count_up(void *arg)
{
	struct counter *c = arg;

	while (!atomic_load(&c->stop)) {
		for (size_t i = 0; i < 16; i++)
			atomic_fetch_add((_Atomic unsigned long *)(c->p + i * PAGE), 1);
		c->counted++;
	}
	return NULL;
}

/* Two threads count while the pages go to and fro: no store is lost. */
static void no_write_is_lost_while_they_move(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(16 * PAGE, RW);
	struct counter c[2] = { { .p = p }, { .p = p } };
	pthread_t threads[2];
	unsigned long moved = 0;

	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_up, &c[i]), 0);
	for (int i = 0; i < 200; i++) {
		const int ret = to_device(w, p, 16);

		assert_true(!ret || ret == -ENOENT);
		moved += w->result.moved;
		assert_int_equal(to_system(w, p, 16), 0);
	}
	for (int i = 0; i < 2; i++) {
		atomic_store(&c[i].stop, true);
		pthread_join(threads[i], NULL);
	}
	assert_true(moved > 0);
	for (size_t i = 0; i < 16; i++)
		assert_int_equal(*(unsigned long *)(p + i * PAGE), c[0].counted + c[1].counted);
	munmap(p, 16 * PAGE);
}

static int find_coherent(const struct hmm_place_run *run, void *arg)
{
	struct hmm_place_run *found = arg;

	if (run->place == HMM_PLACE_COHERENT)
		*found = *run;
	return 0;
}

static void walks_tell_of_them_and_exclusive_access_takes_them(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(8 * PAGE, RW);
	struct hmm_place_run run = { 0 };
	struct hmm_exclusive *ex;

	number(p, 8, 1);
	assert_int_equal(to_device(w, p + 2 * PAGE, 4), 0);
	assert_int_equal(hmm_place_walk(w->m.mm, at(p), at(p) + 8 * PAGE, find_coherent, &run), 0);
	assert_int_equal(run.start, at(p) + 2 * PAGE);
	assert_int_equal(run.end, at(p) + 6 * PAGE);
	assert_ptr_equal(run.owner, w);
	assert_int_equal(run.device_start, 0);
	assert_int_equal(hmm_exclusive_begin(w->m.mm, at(p) + 2 * PAGE, at(p) + 3 * PAGE, w,
					     HMM_FOREVER, &ex),
			 0);
	assert_int_equal(hmm_exclusive_check(ex, at(p) + 2 * PAGE, NULL), 0);
	hmm_exclusive_end(ex);
	assert_int_equal(coherent(w, p, 8, w), 3);
	assert_numbered(p, 8, 1);
	munmap(p, 8 * PAGE);
}

/* In a child, which ends by the number of what went wrong. The program closes all descriptors. */
static int closes_all(uint32_t flags)
{
	char *p = map_anon(16 * PAGE, RW);

	devmem_open(&with, REGION, flags);
	number(p, 16, 1);
	if (to_device(&with, p, 8))
		return 1;
	if (syscall(SYS_close_range, 3, ~0U, 0))
		return 2;
	p[0] = 1;
	while (!atomic_load(&with.m.mm->lost))
		sched_yield();
	if (hmm_devmem_destroy(with.d, HMM_FOREVER))
		return 3;
	hmm_mm_detach(with.m.mm);
	for (unsigned int i = 0; i < 16; i++)
		if (*(unsigned int *)(p + i * PAGE) != 1 + i)
			return 4;
	return 0;
}

static void a_program_that_closes_everything_loses_nothing(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (!pid)
		_exit(closes_all(HMM_DEVMEM_COHERENT));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* The space may end before the region is destroyed. */
static void a_detach_leaves_the_pages(void **state)
{
	char *p = map_anon(8 * PAGE, RW);

	(void)state;
	devmem_open(&with, REGION, HMM_DEVMEM_COHERENT);
	number(p, 8, 1);
	assert_int_equal(to_device(&with, p, 8), 0);
	mirror_close(&with.m);
	assert_numbered(p, 8, 1);
	munmap(p, 8 * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pages_stay_at_their_address_and_are_others, setup,
						teardown),
		cmocka_unit_test_setup_teardown(without_memory_for_a_copy_no_page_is_stuck, setup,
						teardown),
		cmocka_unit_test_setup_teardown(for_others_they_are_pages_as_any, setup, teardown),
		cmocka_unit_test_setup_teardown(they_come_home_when_asked_to_or_with_the_region,
						setup, teardown),
		cmocka_unit_test_setup_teardown(what_the_program_does_to_them_is_followed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_fork_makes_them_the_systems, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_region_leaves_the_rest, setup_small,
						teardown),
		cmocka_unit_test_setup_teardown(a_full_region_makes_room, setup_evicting, teardown),
		cmocka_unit_test_setup_teardown(huge_and_untouched_pages_become_small_ones, setup,
						teardown),
		cmocka_unit_test_setup_teardown(nodes_are_checked_and_used, setup, teardown),
		cmocka_unit_test_setup_teardown(no_write_is_lost_while_they_move, setup, teardown),
		cmocka_unit_test_setup_teardown(walks_tell_of_them_and_exclusive_access_takes_them,
						setup, teardown),
		cmocka_unit_test(a_program_that_closes_everything_loses_nothing),
		cmocka_unit_test(a_detach_leaves_the_pages),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
