// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Pages of mappings that may not be written, or may be executed. */
#include "common/devmem.h"
#include "common/broken.h"
#include "common/child.h"
#include "common/huge.h"
#include "base/deadline.h"
#include "kernel/vma.h"

#include <hmm/migrate.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>

#define PAGES 1100
#define RO PROT_READ
#define SECONDS 1
#define WRITTEN 64

static struct with_devmem with;
static _Atomic bool over;

static int setup(void **state)
{
	devmem_open(&with, REGION, HMM_DEVMEM_READONLY);
	*state = &with;
	over = false;
	return 0;
}

static int setup_small(void **state)
{
	devmem_open(&with, 2 * MIB, HMM_DEVMEM_READONLY);
	*state = &with;
	return 0;
}

static int teardown(void **state)
{
	devmem_close(*state);
	return 0;
}

static char *numbered(size_t pages, int prot)
{
	char *p = map_anon(pages * PAGE, RW);

	number(p, pages, 1);
	assert_int_equal(mprotect(p, pages * PAGE, prot), 0);
	return p;
}

static struct hmm_devmem_stats stats(struct with_devmem *w)
{
	struct hmm_devmem_stats s = { .size = sizeof(s) };

	assert_int_equal(hmm_devmem_get_stats(w->d, &s), 0);
	return s;
}

static size_t map_entries(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	size_t n = 0;
	int c;

	assert_non_null(f);
	while ((c = fgetc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

static void go_and_come(struct with_devmem *w, int prot)
{
	char *p = numbered(PAGES, prot);

	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_int_equal(w->result.moved, PAGES);
	assert_int_equal(away(w, p, PAGES), PAGES);
	for (size_t i = 0; i < PAGES; i++) {
		assert_int_equal(*(unsigned int *)on_device(w, i), 1 + i);
		assert_int_equal(!(w->m.pfns[i] & HMM_PFN_WRITE), !(prot & PROT_WRITE));
	}
	assert_numbered(p, PAGES, 1); /* touches bring them home */
	assert_int_equal(away(w, p, PAGES), 0);
	assert_int_equal(stats(w).copied_home, PAGES * PAGE);
	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_int_equal(w->result.moved, PAGES);
	assert_int_equal(to_system(w, p, PAGES), 0);
	assert_numbered(p, PAGES, 1);
	munmap(p, PAGES * PAGE);
}

static void pages_that_may_not_be_written_move(void **state)
{
	go_and_come(*state, RO);
}

static void pages_that_may_be_executed_move(void **state)
{
	go_and_come(*state, RO | PROT_EXEC);
}

static void and_those_that_may_be_written_and_executed(void **state)
{
	go_and_come(*state, RW | PROT_EXEC);
}

/* Or the places would move with the pages, to where these are for a moment only. */
static void the_librarys_own_move_is_known(void **state)
{
	struct with_devmem *w = *state;
	unsigned int *p = (unsigned int *)numbered(PAGES, RO);
	size_t wrong;

	if (!break_rule("stage-event"))
		skip();
	to_device(w, p, PAGES);
	mend();
	wrong = PAGES - away(w, p, PAGES);
	for (size_t i = 0; i < PAGES; i++)
		wrong += p[i * PAGE / sizeof(*p)] != 1 + i;
	assert_true(wrong);
	munmap(p, PAGES * PAGE);
}

/*
 * The library's mappings are as many afterwards, but for what allocators map meanwhile, and the
 * mapping is what it was.
 */
static void no_map_entry_is_left(void **state)
{
	struct with_devmem *w = *state;
	char *p = numbered(PAGES, RO);
	struct hmm_vma vma;
	size_t before;

	assert_int_equal(to_device(w, p, 1), 0);
	before = map_entries();
	for (int i = 0; i < 10; i++) {
		assert_int_equal(to_device(w, p, PAGES), 0);
		assert_int_equal(to_system(w, p, PAGES), 0);
	}
	assert_in_range(map_entries(), 1, before + 5);
	assert_int_equal(vma_peek(mm_vmas(w->m.mm), at(p) + PAGE, &vma), 0);
	assert_int_equal(vma.start, at(p));
	assert_int_equal(vma.end, at(p) + PAGES * PAGE);
	assert_int_equal(vma.prot, PROT_READ);
	munmap(p, PAGES * PAGE);
}

static void untouched_and_zero_pages_move(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(8 * PAGE, RW);

	p[0] = 1;
	assert_int_equal(mprotect(p, 8 * PAGE, RO), 0);
	(void)*(volatile char *)(p + 3 * PAGE); /* the zero page */
	assert_int_equal(to_device(w, p, 8), 0);
	assert_int_equal(w->result.moved, 8);
	assert_int_equal(away(w, p, 8), 8);
	assert_int_equal(p[0], 1);
	for (size_t i = 1; i < 8; i++)
		assert_int_equal(p[i * PAGE], 0);
	munmap(p, 8 * PAGE);
}

static void pages_of_several_mappings_move(void **state)
{
	struct with_devmem *w = *state;
	char *p = numbered(8, RW);

	assert_int_equal(mprotect(p, PAGE, RO), 0);
	assert_int_equal(mprotect(p + 3 * PAGE, 2 * PAGE, RO | PROT_EXEC), 0);
	assert_int_equal(to_device(w, p, 8), 0);
	assert_int_equal(w->result.moved, 8);
	assert_int_equal(away(w, p, 8), 8);
	assert_numbered(p, 8, 1);
	munmap(p, 8 * PAGE);
}

/* They cannot be made the program's own where they are. */
static void pages_that_a_fork_left_shared_move(void **state)
{
	struct with_devmem *w = *state;
	char *p = numbered(PAGES, RO);
	int fds[2];
	char c = 0;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		close(fds[1]);
		(void)!read(fds[0], &c, 1);
		for (size_t i = 0; i < PAGES; i++) {
			if (*(volatile unsigned int *)(p + i * PAGE) != 1 + i)
				_exit(1);
		}
		_exit(0);
	}
	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_int_equal(w->result.moved, PAGES);
	assert_int_equal(away(w, p, PAGES), PAGES);
	assert_int_equal(write(fds[1], &c, 1), 1);
	assert_int_equal(status_of(pid), 0);
	assert_numbered(p, PAGES, 1);
	close(fds[0]);
	close(fds[1]);
	munmap(p, PAGES * PAGE);
}

static void a_huge_page_goes_as_one(void **state)
{
	struct with_devmem *w = *state;
	const size_t pages = 2 * MIB / PAGE;
	char *p = map_anon(2 * MIB, RW);

	if (madvise(p, 2 * MIB, MADV_HUGEPAGE))
		skip();
	number(p, pages, 1);
	ask_for_huge_pages(p, 2 * MIB);
	assert_int_equal(mprotect(p, 2 * MIB, RO), 0);
	assert_int_equal(snapshot(&w->m, p, pages), 0);
	if (order(&w->m, 0) != 9) {
		munmap(p, 2 * MIB);
		print_message("no huge page is to be had\n");
		skip();
	}
	assert_int_equal(to_device(w, p, pages), 0);
	assert_int_equal(w->result.huge, pages);
	assert_int_equal(away(w, p, pages), pages);
	assert_int_equal(order(&w->m, 0), 9);
	assert_numbered(p, pages, 1);
	assert_int_equal(away(w, p, pages), 0);
	assert_int_equal(stats(w).copied_home, 2 * MIB);
	munmap(p, 2 * MIB);
}

/* While pages are away the program may change the mapping as it likes. */
static void what_may_be_written_by_then_is_moved_home(void **state)
{
	struct with_devmem *w = *state;
	char *p = numbered(PAGES, RO);

	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_int_equal(mprotect(p, PAGES * PAGE, RW), 0);
	number(p, PAGES / 2, 7000);
	assert_numbered(p, PAGES / 2, 7000);
	assert_numbered(p + PAGES / 2 * PAGE, PAGES / 2, 1 + PAGES / 2);
	assert_int_equal(stats(w).copied_home, 0);
	munmap(p, PAGES * PAGE);
}

static void a_full_region_leaves_the_rest_at_home(void **state)
{
	struct with_devmem *w = *state;
	const size_t room = 2 * MIB / PAGE;
	char *p = numbered(PAGES, RO);

	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_int_equal(w->result.moved, room);
	assert_int_equal(w->result.left[HMM_MIGRATE_EXHAUSTED], PAGES - room);
	assert_int_equal(away(w, p, PAGES), room);
	assert_numbered(p, PAGES, 1);
	munmap(p, PAGES * PAGE);
}

/* Linux 7 does not count what io_uring pins for a process that may lock any amount of memory. */
static bool kernel_counts_pins(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kib = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) && sscanf(line, "VmPin: %ld", &kib) != 1)
		;
	fclose(f);
	return kib;
}

/* What is pinned must not be copied, and nobody tells what is. */
static void nothing_moves_while_a_page_is_pinned(void **state)
{
	struct with_devmem *w = *state;
	struct io_uring_params params = { 0 };
	int ring = (int)syscall(SYS_io_uring_setup, 1, &params);
	char *p = numbered(4, RW);
	struct iovec iov = { p, PAGE };

	if (ring < 0 || syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1)) {
		if (ring >= 0)
			close(ring);
		munmap(p, 4 * PAGE);
		print_message("no io_uring\n");
		skip();
	}
	if (!kernel_counts_pins()) {
		close(ring);
		munmap(p, 4 * PAGE);
		print_message("the kernel does not count pins (hmm-devmem(7))\n");
		skip();
	}
	assert_int_equal(mprotect(p, 4 * PAGE, RO), 0);
	assert_int_equal(to_device(w, p, 4), -ENOENT);
	assert_int_equal(w->result.left[HMM_MIGRATE_PERMISSION], 4);
	syscall(SYS_io_uring_register, ring, IORING_UNREGISTER_BUFFERS, NULL, 0);
	close(ring);
	for (int i = 0; to_device(w, p, 4) == -ENOENT && i < 30000; i++)
		usleep(1000);
	assert_int_equal(w->result.moved, 4);
	assert_numbered(p, 4, 1);
	munmap(p, 4 * PAGE);
}

/* Atomic operations write. */
static void there_is_no_exclusive_access(void **state)
{
	struct with_devmem *w = *state;
	struct hmm_exclusive *ex;
	char *p = numbered(1, RO);

	assert_int_equal(hmm_exclusive_begin(w->m.mm, at(p), at(p) + PAGE, w, HMM_FOREVER, &ex),
			 -EBUSY);
	munmap(p, PAGE);
}

#define MAPS_MAX 80000UL

/* The way out needs map entries for a moment. */
static void without_map_entries_pages_stay(void **state)
{
	struct with_devmem *w = *state;
	char *p = numbered(4, RO);
	char *full = map_anon(2 * MAPS_MAX * PAGE, PROT_NONE);
	size_t n = 0;

	assert_int_equal(to_device(w, p, 1), 0);
	while (n < MAPS_MAX && !mprotect(full + 2 * n * PAGE, PAGE, RO))
		n++;
	if (n < MAPS_MAX) {
		assert_int_equal(to_device(w, p, 4), 0);
		assert_int_equal(w->result.already, 1);
		assert_int_equal(w->result.left[HMM_MIGRATE_PERMISSION], 3);
	}
	munmap(full, 2 * MAPS_MAX * PAGE);
	assert_numbered(p, 4, 1);
	/* The CPU keeps what it has touched for a moment. */
	assert_int_equal(to_device(w, p, 4), 0);
	assert_int_equal(w->result.moved, 4);
	assert_numbered(p, 4, 1);
	munmap(p, 4 * PAGE);
}

/* ---- meanwhile ------------------------------------------------------------------------------ */

static void *migrate(void *arg)
{
	char *p = arg;

	while (!over) {
		hmm_migrate_to_device(with.d, at(p), at(p) + PAGES * PAGE, HMM_FOREVER, NULL);
		hmm_migrate_to_system(with.m.mm, at(p), at(p) + PAGES / 2 * PAGE, HMM_FOREVER);
	}
	return NULL;
}

/* Each touch sees what is there, wherever the page is. */
static void *look(void *arg)
{
	while (!over)
		assert_numbered(arg, PAGES, 1);
	return NULL;
}

static void run(void *(*one)(void *), void *(*other)(void *), void (*act)(char *, unsigned int),
		char *p)
{
	const uint64_t end = clock_ns() + SECONDS * 1000000000ULL;
	pthread_t threads[2];
	unsigned int n = 0;

	assert_int_equal(pthread_create(&threads[0], NULL, one, p), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, other, p), 0);
	while (clock_ns() < end)
		act(p, n++);
	over = true;
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
}

static void flip(char *p, unsigned int n)
{
	static const int prot[] = { RW, RO, RO | PROT_EXEC, RW | PROT_EXEC };
	const size_t from = n * 37 % PAGES;

	assert_int_equal(mprotect(p + from * PAGE, (PAGES - from) * PAGE, prot[n % 4]), 0);
	if (!(prot[n % 4] & PROT_WRITE))
		return;
	/* Not what others read. */
	number(p + from * PAGE + WRITTEN, PAGES - from, n);
	assert_numbered(p + from * PAGE + WRITTEN, PAGES - from, n);
}

static void permissions_change_meanwhile(void **state)
{
	char *p = numbered(PAGES, RO);

	(void)state;
	run(migrate, look, flip, p);
	assert_numbered(p, PAGES, 1);
	munmap(p, PAGES * PAGE);
}

static void fork_once(char *p, unsigned int n)
{
	const bool raw = n % 2 && with.m.mm->provider.event_fork;
	pid_t pid = raw ? raw_clone(0) : fork();

	if (!pid) {
		for (size_t i = 0; i < PAGES; i++) {
			if (*(volatile unsigned int *)(p + i * PAGE) != 1 + i)
				_exit(1);
		}
		_exit(0);
	}
	assert_int_equal(status_of(pid), 0);
}

static void forks_meanwhile(void **state)
{
	char *p = numbered(PAGES, RO);

	(void)state;
	run(migrate, look, fork_once, p);
	assert_numbered(p, PAGES, 1);
	munmap(p, PAGES * PAGE);
}

#define CHURN 64

/* New memory at other addresses each time: zero at first, then what was written. */
static void churn(char *unused, unsigned int n)
{
	char *p = map_anon(CHURN * PAGE, RW);
	char *q = map_anon(CHURN * PAGE, PROT_NONE);

	(void)unused;
	for (size_t i = 0; i < CHURN; i++)
		assert_int_equal(*(volatile unsigned int *)(p + i * PAGE), 0);
	number(p, CHURN, n);
	assert_int_equal(mprotect(p, CHURN * PAGE, RO), 0);
	hmm_migrate_to_device(with.d, at(p), at(p) + CHURN * PAGE, HMM_FOREVER, NULL);
	switch (n % 3) {
	case 0:
		assert_ptr_equal(
			mremap(p, CHURN * PAGE, CHURN * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q), q);
		assert_numbered(q, CHURN, n);
		break;
	case 1:
		assert_int_equal(madvise(p, CHURN * PAGE, MADV_DONTNEED), 0);
		for (size_t i = 0; i < CHURN; i++)
			assert_int_equal(*(volatile unsigned int *)(p + i * PAGE), 0);
		break;
	default:
		munmap(p, CHURN / 2 * PAGE);
		assert_numbered(p + CHURN / 2 * PAGE, CHURN / 2, n + CHURN / 2);
	}
	if (n % 3)
		munmap(p, CHURN * PAGE);
	munmap(q, CHURN * PAGE);
}

static char *arena;

static void *migrate_arena(void *arg)
{
	(void)arg;
	while (!over)
		hmm_migrate_to_device(with.d, at(arena), at(arena) + CHURN * PAGE, HMM_FOREVER,
				      NULL);
	return NULL;
}

/* The same at one address, which another thread migrates all the time. */
static void churn_arena(char *unused, unsigned int n)
{
	char *q;

	(void)unused;
	assert_ptr_equal(
		mmap(arena, CHURN * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		arena);
	number(arena, CHURN, n);
	assert_int_equal(mprotect(arena, CHURN * PAGE, RO), 0);
	for (unsigned int i = 0; i < n % 8; i++)
		sched_yield();
	if (n % 2)
		assert_numbered(arena, CHURN, n);
	if (n % 3 == 0) {
		assert_int_equal(madvise(arena, CHURN * PAGE, MADV_DONTNEED), 0);
		for (size_t i = 0; i < CHURN; i++)
			assert_int_equal(*(volatile unsigned int *)(arena + i * PAGE), 0);
	} else if (n % 3 == 1) {
		q = map_anon(CHURN * PAGE, PROT_NONE);
		assert_ptr_equal(
			mremap(arena, CHURN * PAGE, CHURN * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q),
			q);
		assert_numbered(q, CHURN, n);
		munmap(q, CHURN * PAGE);
	}
}

static void mappings_change_meanwhile(void **state)
{
	char *p = numbered(PAGES, RO);

	(void)state;
	arena = map_anon(CHURN * PAGE, RW);
	run(migrate, look, churn, p);
	over = false;
	run(migrate_arena, migrate_arena, churn_arena, p);
	munmap(arena, CHURN * PAGE);
	munmap(p, PAGES * PAGE);
}

static void *migrate_until_lost(void *arg)
{
	char *p = arg;

	while (hmm_migrate_to_device(with.d, at(p), at(p) + PAGES * PAGE, HMM_FOREVER, NULL) !=
	       -ESRCH)
		hmm_migrate_to_system(with.m.mm, at(p), at(p) + PAGES * PAGE, HMM_FOREVER);
	return NULL;
}

/* The program closes all that it does not know: for children, without an assertion. */
static int close_all(unsigned int us)
{
	pthread_t thread;
	char *p;

	alarm(30);
	memset(&with, 0, sizeof(with));
	if (hmm_mm_attach(NULL, &with.m.mm) ||
	    make_region(&with, REGION, HMM_DEVMEM_READONLY, &with, &with.d))
		return 2;
	p = map_anon(PAGES * PAGE, RW);
	number(p, PAGES, 1);
	if (mprotect(p, PAGES * PAGE, RO) || pthread_create(&thread, NULL, migrate_until_lost, p))
		return 3;
	usleep(us);
	if (syscall(SYS_close_range, 3, ~0U, 0))
		return 4;
	pthread_join(thread, NULL);
	for (size_t i = 0; i < PAGES; i++) {
		if (*(volatile unsigned int *)(p + i * PAGE) != 1 + i)
			return 5;
	}
	if (hmm_devmem_destroy(with.d, HMM_FOREVER))
		return 6;
	hmm_mm_detach(with.m.mm);
	return munmap(p, PAGES * PAGE) ? 7 : 0;
}

static void descriptors_go_meanwhile(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 10; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(close_all(20000 + i * 111));
		assert_int_equal(status_of(pid), 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pages_that_may_not_be_written_move, setup,
						teardown),
		cmocka_unit_test_setup_teardown(pages_that_may_be_executed_move, setup, teardown),
		cmocka_unit_test_setup_teardown(and_those_that_may_be_written_and_executed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_librarys_own_move_is_known, setup, teardown),
		cmocka_unit_test_setup_teardown(no_map_entry_is_left, setup, teardown),
		cmocka_unit_test_setup_teardown(untouched_and_zero_pages_move, setup, teardown),
		cmocka_unit_test_setup_teardown(pages_of_several_mappings_move, setup, teardown),
		cmocka_unit_test_setup_teardown(pages_that_a_fork_left_shared_move, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_huge_page_goes_as_one, setup, teardown),
		cmocka_unit_test_setup_teardown(what_may_be_written_by_then_is_moved_home, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_full_region_leaves_the_rest_at_home, setup_small,
						teardown),
		cmocka_unit_test_setup_teardown(nothing_moves_while_a_page_is_pinned, setup,
						teardown),
		cmocka_unit_test_setup_teardown(there_is_no_exclusive_access, setup, teardown),
		cmocka_unit_test_setup_teardown(without_map_entries_pages_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(permissions_change_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(forks_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(mappings_change_meanwhile, setup, teardown),
		cmocka_unit_test(descriptors_go_meanwhile),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
