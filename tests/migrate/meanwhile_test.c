// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * What the program or another device does between two steps of a call, when the library has let go
 * of its lock.
 */
#include "common/devmem.h"
#include "migrate/migrate.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define BIG (64 * MIB)

static struct with_devmem with;

/* ---- a page that passes the mover ------------------------------------------------------------ */

/* Addresses in this order: low is a hole, big is away, and so is the page that goes to low. */
static struct {
	char *low;
	char *big;
	char *high;
	pthread_t thread;
	sem_t go, done;
	_Atomic unsigned int turn; /* counts turns of the mover; 0: none is counted */
	bool passed;
} page;

int __real_deadline_lock(pthread_mutex_t *lock, uint64_t deadline);
int __wrap_deadline_lock(pthread_mutex_t *lock, uint64_t deadline);

/* Before its third turn the mover is in the midst of what is big. */
int __wrap_deadline_lock(pthread_mutex_t *lock, uint64_t deadline)
{
	if (page.turn && lock == &with.m.mm->region_lock && ++page.turn == 4) {
		page.turn = 0;
		page.passed = true;
		sem_post(&page.go);
		sem_wait(&page.done);
	}
	return __real_deadline_lock(lock, deadline);
}

static void *move_down(void *arg)
{
	(void)arg;
	sem_wait(&page.go);
	if (page.passed &&
	    mremap(page.high, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, page.low) != page.low)
		abort();
	sem_post(&page.done);
	return NULL;
}

static char *map_at(char *p, size_t bytes)
{
	char *at = mmap(p, bytes, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	assert_ptr_equal(at, p);
	return at;
}

static void open_big(uint32_t flags)
{
	memset(&with, 0, sizeof(with));
	memset(&page, 0, sizeof(page));
	sem_init(&page.go, 0, 0);
	sem_init(&page.done, 0, 0);
	mirror_open(&with.m, flags);
	assert_int_equal(make_region(&with, 2 * BIG, 0, &with, &with.d), 0);
	page.low = place_apart(BIG + 16 * MIB);
	page.big = map_at(page.low + 4 * MIB, BIG);
	madvise(page.big, BIG, MADV_NOHUGEPAGE);
	page.high = map_at(page.low + BIG + 8 * MIB, PAGE);
	number(page.big, BIG / PAGE, 1);
	number(page.high, 1, 4242);
	assert_int_equal(to_device(&with, page.big, BIG / PAGE), 0);
	assert_int_equal(to_device(&with, page.high, 1), 0);
	assert_int_equal(pthread_create(&page.thread, NULL, move_down, NULL), 0);
	page.turn = 1;
}

/* Its page is at home, and holds what it held. The mover has been passed. */
static void end_big(void)
{
	page.turn = 0;
	sem_post(&page.go);
	pthread_join(page.thread, NULL);
	assert_true(page.passed);
	assert_int_equal(*(unsigned int *)page.low, 4242);
	munmap(page.low, PAGE);
	munmap(page.big, BIG);
}

static void evicting_all_meets_a_page_that_moves(void **state)
{
	open_big(0);
	assert_int_equal(hmm_evict_all(with.m.mm, HMM_FOREVER), 0);
	assert_false(devmem_any(with.m.mm, 0, UINT64_MAX));
	end_big();
	devmem_close(&with);
}

static void detaching_meets_a_page_that_moves(void **state)
{
	open_big(0);
	hmm_interval_notifier_remove(with.m.ni);
	hmm_mm_detach(with.m.mm);
	end_big();
}

/* Without the event of the fork the child has what the page table has. */
static void a_fork_meets_a_page_that_moves(void **state)
{
	int status;
	pid_t pid;

	open_big(HMM_MM_NO_EVENT_FORK);
	pid = fork();
	if (!pid)
		_exit(*(unsigned int *)page.low == 4242 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	end_big();
	devmem_close(&with);
}

/* ---- descriptors that are closed ------------------------------------------------------------- */

/* The pump need not have noticed before the space is detached. */
static void who_closes_and_detaches_keeps_its_pages(void **state)
{
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		char *p = map_anon(64 * PAGE, RW);

		alarm(100);
		devmem_open(&with, REGION, 0);
		number(p, 64, 1);
		if (to_device(&with, p, 64))
			_exit(2);
		hmm_interval_notifier_remove(with.m.ni);
		syscall(SYS_close_range, 3, ~0U, 0);
		hmm_mm_detach(with.m.mm);
		for (unsigned int i = 0; i < 64; i++)
			if (*(unsigned int *)(p + i * PAGE) != 1 + i)
				_exit(1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* ---- exclusive access ------------------------------------------------------------------------ */

static struct {
	char *p; /* the other device takes this page; NULL: it has */
	struct hmm_exclusive *has;
} other;

int __real_migrate_range(struct migration *m, uint64_t start, uint64_t end);
int __wrap_migrate_range(struct migration *m, uint64_t start, uint64_t end);

int __wrap_migrate_range(struct migration *m, uint64_t start, uint64_t end)
{
	char *p = other.p;

	other.p = NULL;
	if (p &&
	    hmm_exclusive_begin(with.m.mm, at(p), at(p) + PAGE, &other, HMM_FOREVER, &other.has))
		abort();
	return __real_migrate_range(m, start, end);
}

/* The range lies in two blocks, so it is taken in several steps. */
static void a_page_that_another_device_takes_is_its_own(void **state)
{
	char *big = map_apart(2 * HMM_PAGE_SIZE * 512, RW);
	struct hmm_exclusive *ex;
	char *p = big + 511 * PAGE;

	devmem_open(&with, REGION, 0);
	madvise(big, 1024 * PAGE, MADV_NOHUGEPAGE);
	number(big, 1024, 1);
	other.p = p;
	assert_int_equal(
		hmm_exclusive_begin(with.m.mm, at(p), at(p) + 2 * PAGE, &with, HMM_FOREVER, &ex),
		0);
	assert_null(other.p);
	assert_int_equal(hmm_exclusive_check(other.has, at(p), NULL), 0);
	assert_int_equal(hmm_exclusive_check(ex, at(p), NULL), -EBUSY);
	assert_int_equal(hmm_exclusive_check(ex, at(p) + PAGE, NULL), 0);
	hmm_exclusive_end(ex);
	assert_int_equal(hmm_exclusive_check(other.has, at(p), NULL), 0);
	hmm_exclusive_end(other.has);
	munmap(big, 1024 * PAGE);
	devmem_close(&with);
}

/* ---- a full region --------------------------------------------------------------------------- */

/* What is unmapped when the thread that migrates has let go of its lock: nothing else is there. */
static struct {
	char *_Atomic p; /* 2 MiB; NULL: it has been unmapped */
	pthread_t thread;
} filling;

int __real_pthread_mutex_lock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_lock(pthread_mutex_t *lock);

static bool is_next(const pthread_mutex_t *lock)
{
	return filling.p && pthread_equal(pthread_self(), filling.thread) &&
	       lock == &with.m.mm->region_lock && with.d->transit->used;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *lock)
{
	if (is_next(lock)) {
		munmap(filling.p, 2 * MIB);
		filling.p = NULL;
		for (int i = 0; i < 30000 && with.d->used; i++)
			usleep(1000);
	}
	return __real_pthread_mutex_lock(lock);
}

/* It was full, and before something is evicted all of it is free. */
static void a_region_that_becomes_empty_is_not_exhausted(void **state)
{
	char *p = map_apart(2 * MIB, RW);
	char *q = map_apart(2 * MIB, RW);

	devmem_open(&with, 2 * MIB, HMM_DEVMEM_COHERENT | HMM_DEVMEM_EVICT);
	madvise(p, 2 * MIB, MADV_NOHUGEPAGE);
	madvise(q, 2 * MIB, MADV_NOHUGEPAGE);
	number(p, 512, 1);
	number(q, 512, 1);
	assert_int_equal(to_device(&with, p, 512), 0);
	assert_int_equal(with.result.moved, 512);
	for (int i = 0; i < 30000 && with.d->transit->used; i++)
		usleep(1000);
	filling.thread = pthread_self();
	filling.p = p;
	assert_int_equal(to_device(&with, q, 512), 0);
	assert_null(filling.p);
	assert_int_equal(with.result.moved, 512);
	assert_numbered(q, 512, 1);
	munmap(q, 2 * MIB);
	devmem_close(&with);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(evicting_all_meets_a_page_that_moves),
		cmocka_unit_test(detaching_meets_a_page_that_moves),
		cmocka_unit_test(a_fork_meets_a_page_that_moves),
		cmocka_unit_test(who_closes_and_detaches_keeps_its_pages),
		cmocka_unit_test(a_page_that_another_device_takes_is_its_own),
		cmocka_unit_test(a_region_that_becomes_empty_is_not_exhausted),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
