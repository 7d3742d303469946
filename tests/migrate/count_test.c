// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The kernel moves more pages than it says (devmem/move.c): none is lost, and all are counted. */
#include "common/devmem.h"
#include "kernel/abi/uffd.h"

#include "common/broken.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>

#define PAGES 64

static struct with_devmem with;

/* The next move counts only so many pages, and moves so many more. More is 0: the kernel's word. */
static struct {
	_Atomic uint64_t told;
	_Atomic uint64_t more;
} next;

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, ...);

/*
 * How many pages have moved, although the kernel may stop on the way, or not count what it does.
 * This runs inside the library, with its locks: nothing is asserted here, and nobody is waited for.
 */
static uint64_t move_pages(int fd, const struct uffdio_move *at, uint64_t from, uint64_t pages)
{
	uint64_t done = 0;

	for (int i = 0; i < 1000 && done < pages; i++) {
		const uint64_t skip = (from + done) * PAGE;
		struct uffdio_move m = { at->dst + skip, at->src + skip, (pages - done) * PAGE,
					 at->mode | (from ? UFFDIO_MOVE_MODE_DONTWAKE : 0), 0 };

		if (!__real_ioctl(fd, UFFDIO_MOVE, &m) || m.move > 0)
			done += (uint64_t)m.move / PAGE;
		else if (errno == EEXIST)
			done++;
	}
	return done;
}

static int move_more(int fd, struct uffdio_move *m)
{
	const uint64_t told = move_pages(fd, m, 0, next.told);
	const uint64_t more = told == next.told ? move_pages(fd, m, told, next.more) : 0;

	if (more)
		next.more = 0;
	m->move = told ? (int64_t)(told * PAGE) : more ? -EEXIST : -EAGAIN;
	errno = !told && more ? EEXIST : EAGAIN;
	return -1;
}

static bool fits(const struct uffdio_move *m)
{
	return next.more && (next.told + next.more) * PAGE <= m->len;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	return request == UFFDIO_MOVE && fits(arg) ? move_more(fd, arg)
						   : __real_ioctl(fd, request, arg);
}

static int setup(void **state)
{
	devmem_open(&with, REGION, 0);
	*state = &with;
	return 0;
}

static int setup_coherent(void **state)
{
	devmem_open(&with, REGION, HMM_DEVMEM_COHERENT);
	*state = &with;
	return 0;
}

static int teardown(void **state)
{
	next.more = 0;
	devmem_close(*state);
	return 0;
}

static char *numbered(void)
{
	char *p = map_anon(PAGES * PAGE, RW);

	madvise(p, PAGES * PAGE, MADV_NOHUGEPAGE);
	number(p, PAGES, 1);
	return p;
}

static uint64_t used(const struct with_devmem *w)
{
	struct hmm_devmem_stats stats = { .size = sizeof(stats) };

	assert_int_equal(hmm_devmem_get_stats(w->d, &stats), 0);
	return stats.used;
}

/* The worker frees what the program has unmapped. */
static void until_unused(const struct with_devmem *w)
{
	for (int i = 0; i < 20000 && used(w); i++)
		usleep(1000);
	assert_int_equal(used(w), 0);
}

static void out_and_home(struct with_devmem *w, uint64_t told, uint64_t more)
{
	char *p = numbered();

	next.told = told;
	next.more = more;
	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_int_equal(next.more, 0);
	assert_int_equal(w->result.moved, PAGES);
	assert_int_equal(used(w), PAGES * PAGE);
	assert_numbered(p, PAGES, 1);
	munmap(p, PAGES * PAGE);
	until_unused(w);
}

static void on_the_way_out(void **state)
{
	out_and_home(*state, 5, 1);
	out_and_home(*state, 0, PAGES);
	out_and_home(*state, 3, 40);
	out_and_home(*state, PAGES - 1, 1);
}

static void on_the_way_home(void **state)
{
	struct with_devmem *w = *state;
	char *p = numbered();

	for (uint64_t told = 0; told < 8; told += 7) {
		assert_int_equal(to_device(w, p, PAGES), 0);
		assert_int_equal(w->result.moved, PAGES);
		next.told = told;
		next.more = 40;
		assert_int_equal(to_system(w, p, PAGES), 0);
		assert_int_equal(next.more, 0);
		assert_numbered(p, PAGES, 1);
	}
	munmap(p, PAGES * PAGE);
}

/* A thread waits for a page that the kernel has moved home without a word. */
static void a_touch_goes_on(void **state)
{
	struct with_devmem *w = *state;
	char *p = numbered();

	assert_int_equal(to_device(w, p, PAGES), 0);
	next.told = 0;
	next.more = 1;
	alarm(60);
	assert_numbered(p, PAGES, 1);
	alarm(0);
	assert_int_equal(next.more, 0);
	munmap(p, PAGES * PAGE);
}

/* What the program has not touched yet is zeros there, although its frame is there now. */
static void a_hole_is_zeros(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(PAGES * PAGE, RW);

	madvise(p, PAGES * PAGE, MADV_NOHUGEPAGE);
	number(p, PAGES / 2, 1);
	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_int_equal(w->result.moved, PAGES);
	assert_numbered(p, PAGES / 2, 1);
	for (size_t i = PAGES / 2; i < PAGES; i++)
		assert_int_equal(p[i * PAGE], 0);
	munmap(p, PAGES * PAGE);
}

static void into_coherent_memory(void **state)
{
	struct with_devmem *w = *state;
	char *p = numbered();

	/* two moves: to memory in between, and to the region's place at the page's address */
	next.told = 2;
	next.more = 9;
	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_int_equal(w->result.moved, PAGES);
	assert_numbered(p, PAGES, 1);
	assert_int_equal(to_system(w, p, PAGES), 0);
	assert_numbered(p, PAGES, 1);
	munmap(p, PAGES * PAGE);
}

/* ---- the kernel itself --------------------------------------------------------------------- */

static _Atomic bool stop;
static char *read_by_all;

static void *read_all(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; !atomic_load(&stop); i += 7)
		(void)*(volatile char *)(read_by_all + i % PAGES * PAGE + 64);
	return NULL;
}

/* The CPU sets the bit again that says that a page was used. */
static void *forget_use(void *arg)
{
	const int fd = *(int *)arg;

	while (!atomic_load(&stop))
		assert_int_equal(write(fd, "1", 1), 1);
	return NULL;
}

static void while_the_cpu_sets_bits(void **state)
{
	struct with_devmem *w = *state;
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	const time_t end = time(NULL) + 20;
	pthread_t threads[2];

	if (fd < 0 || write(fd, "1", 1) != 1)
		skip();
	read_by_all = numbered();
	atomic_store(&stop, false);
	pthread_create(&threads[0], NULL, read_all, NULL);
	pthread_create(&threads[1], NULL, forget_use, &fd);
	/* An emulated machine does not come to so many. */
	for (unsigned int i = 1; i <= 5000 && (i <= 50 || time(NULL) < end); i++) {
		number(read_by_all, PAGES, i);
		assert_int_equal(to_device(w, read_by_all, PAGES), 0);
		assert_int_equal(to_system(w, read_by_all, PAGES), 0);
		assert_numbered(read_by_all, PAGES, i);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	close(fd);
	munmap(read_by_all, PAGES * PAGE);
}

static void trusting_the_count(void **state)
{
	struct with_devmem *w = *state;
	char *p = numbered();
	unsigned int lost = 0;

	if (!break_rule("trust-count"))
		skip();
	next.told = 5;
	next.more = 1;
	assert_int_equal(to_device(w, p, PAGES), 0);
	for (size_t i = 0; i < PAGES; i++)
		lost += *(volatile unsigned int *)(p + i * PAGE) != i + 1;
	mend();
	assert_int_equal(lost, 1);
	munmap(p, PAGES * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(on_the_way_out, setup, teardown),
		cmocka_unit_test_setup_teardown(on_the_way_home, setup, teardown),
		cmocka_unit_test_setup_teardown(a_touch_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(a_hole_is_zeros, setup, teardown),
		cmocka_unit_test_setup_teardown(into_coherent_memory, setup_coherent, teardown),
		cmocka_unit_test_setup_teardown(while_the_cpu_sets_bits, setup, teardown),
		cmocka_unit_test_setup_teardown(trusting_the_count, setup, teardown),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
