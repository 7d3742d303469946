// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A device that copies: what it has takes no memory of the host, and when it fails, hangs or loses
 * its memory the page that is touched is SIGBUS, and nothing else suffers.
 */
#include "common/child.h"
#include "common/devmem.h"
#include "common/huge.h"
#include "common/broken.h"
#include "devmem/copy.h"

#include <hmm/engine.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <time.h>

#define PAGES 1024
#define LIMIT_NS 200000000ULL
#define LONG_NS 20000000000ULL /* more than any wait for a device that hangs */

static struct with_devmem with;

static int setup(void **state)
{
	devmem_open_copying(&with, REGION, 0, 0);
	*state = &with;
	return 0;
}

static int setup_backed(void **state)
{
	devmem_open_copying(&with, REGION, HMM_DEVMEM_BACKED, 0);
	*state = &with;
	return 0;
}

/* A test of regions that give the host's pages back, and of those that keep them. */
#define EITHER(test)                                                                               \
	cmocka_unit_test_setup_teardown(test, setup, teardown),                                    \
	{                                                                                          \
#test "_backed", test, setup_backed, teardown, NULL                                \
	}

static int teardown(void **state)
{
	devmem_close(*state);
	return 0;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static struct hmm_devmem_stats stats_of(struct with_devmem *w)
{
	struct hmm_devmem_stats s = { .size = sizeof(s) };

	assert_int_equal(hmm_devmem_get_stats(w->d, &s), 0);
	return s;
}

static char *map_block(size_t pages)
{
	char *p = map_anon((pages + 512) * PAGE, RW);
	char *aligned = (char *)(((uintptr_t)p + 2 * MIB - 1) & ~(2 * MIB - 1));

	munmap(p, (size_t)(aligned - p));
	munmap(aligned + pages * PAGE, (size_t)(p + 512 * PAGE - aligned));
	return aligned;
}

static char *pages_on_device(struct with_devmem *w, size_t pages)
{
	char *p = map_block(pages);

	number(p, pages, 1);
	assert_int_equal(to_device(w, p, pages), 0);
	assert_int_equal(away(w, p, pages), pages);
	return p;
}

static sigjmp_buf out;

static void on_sigbus(int sig)
{
	(void)sig;
	siglongjmp(out, 1);
}

static void catch_sigbus(void)
{
	struct sigaction sa = { .sa_handler = on_sigbus };

	sigaction(SIGBUS, &sa, NULL);
}

/* Does a touch of the page raise SIGBUS? */
static bool is_sigbus(const char *p)
{
	if (sigsetjmp(out, 1))
		return true;
	catch_sigbus();
	(void)*(const volatile char *)p;
	return false;
}

/* From now on callbacks hang, and that is noticed soon. Before, a busy machine may need long. */
static void hang(struct with_devmem *w, _Atomic uint32_t *hold)
{
	*hold = 1;
	w->d->copier->timeout = LIMIT_NS;
}

static void go_on(struct with_devmem *w, _Atomic uint32_t *hold)
{
	w->d->copier->timeout = 60000000000ULL;
	copying_release(hold);
}

static void until_held(struct with_devmem *w, uint32_t n)
{
	while (w->copying.held < n)
		sched_yield();
}

/* ---- what it is for -------------------------------------------------------------------------- */

static size_t resident(uint64_t start, size_t bytes)
{
	unsigned char *vec = malloc(bytes / PAGE);
	size_t n = 0;

	assert_int_equal(mincore((void *)(uintptr_t)start, bytes, vec), 0);
	for (size_t i = 0; i < bytes / PAGE; i++)
		n += vec[i] & 1;
	free(vec);
	return n;
}

static size_t staged(const struct with_devmem *w)
{
	const struct copier *c = w->d->copier;

	return resident(c->stage, REGION) + (c->huge ? resident(c->huge, REGION) : 0);
}

static size_t bounced(const struct with_devmem *w)
{
	return resident(w->d->copier->bounce, BOUNCES * 2 * MIB);
}

static void until_bounced(const struct with_devmem *w, size_t pages)
{
	const uint64_t limit = now_ns() + LONG_NS;

	while (bounced(w) != pages && now_ns() < limit)
		usleep(1000);
	assert_int_equal(bounced(w), pages);
}

static void takes_no_memory(struct with_devmem *w, bool huge)
{
	char *p = map_block(PAGES);
	struct hmm_devmem_stats s;

	madvise(p, PAGES * PAGE, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	number(p, PAGES, 1);
	if (huge)
		ask_for_huge_pages(p, PAGES * PAGE);
	assert_int_equal(to_device(w, p, PAGES), 0);
	s = stats_of(w);
	assert_int_equal(s.copied_in, PAGES * PAGE);
	assert_int_equal(s.used, PAGES * PAGE);
	assert_int_equal(resident(at(p), PAGES * PAGE), 0);
	assert_int_equal(resident(s.start, REGION), 0);
	assert_int_equal(staged(w), 0);
	assert_numbered(p, 5, 1);
	assert_int_equal(staged(w), 0);
	until_bounced(w, 0);
	assert_int_equal(to_system(w, p, PAGES), 0);
	assert_int_equal(resident(at(p), PAGES * PAGE), PAGES);
	assert_int_equal(resident(s.start, REGION), 0);
	assert_int_equal(staged(w), 0);
	until_bounced(w, 0);
	assert_int_equal(stats_of(w).copied_out, PAGES * PAGE);
	assert_numbered(p, PAGES, 1);
	munmap(p, PAGES * PAGE);
}

static void what_is_away_takes_no_memory(void **state)
{
	takes_no_memory(*state, false);
}

/* Each frame keeps the page that came, until the program needs it no more. */
static void keeps_the_pages(struct with_devmem *w, bool huge)
{
	char *p = map_block(PAGES);
	const uint64_t start = stats_of(w).start;
	uint64_t were_huge = 0;

	madvise(p, PAGES * PAGE, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	number(p, PAGES, 1);
	if (huge)
		ask_for_huge_pages(p, PAGES * PAGE);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(to_device(w, p, PAGES), 0);
		assert_int_equal(stats_of(w).copied_in, (round + 1) * PAGES * PAGE);
		assert_int_equal(resident(at(p), PAGES * PAGE), 0);
		assert_int_equal(resident(start, REGION), PAGES);
		were_huge = round ? were_huge : w->result.huge;
		assert_int_equal(w->result.huge, were_huge);
		assert_int_equal(to_system(w, p, PAGES), 0);
		assert_int_equal(resident(start, REGION), 0);
		assert_numbered(p, PAGES, 1);
	}
	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_int_equal(madvise(p, PAGES / 2 * PAGE, MADV_DONTNEED), 0);
	munmap(p + PAGES / 2 * PAGE, PAGES / 2 * PAGE);
	for (int i = 0; i < 20000 && stats_of(w).used; i++)
		usleep(1000);
	assert_int_equal(stats_of(w).used, 0);
	assert_int_equal(resident(start, REGION), 0);
	munmap(p, PAGES / 2 * PAGE);
}

static void a_backed_region_keeps_the_pages(void **state)
{
	keeps_the_pages(*state, false);
}

static void a_backed_region_keeps_huge_pages(void **state)
{
	keeps_the_pages(*state, true);
}

/* A page that the program has not written is the zero page, which the device must not write. */
static void a_backed_zero_page_is_written(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_block(2);
	const char *q = map_block(2);

	madvise(p, 2 * PAGE, MADV_NOHUGEPAGE);
	assert_int_equal(q[0] + p[0], 0);
	assert_int_equal(to_device(w, p, 2), 0);
	assert_int_equal(away(w, p, 2), 2);
	*(unsigned char *)on_device(w, 0) = 9;
	device_wrote(w);
	assert_int_equal(p[0], 9);
	assert_int_equal(q[0], 0);
	munmap(p, 2 * PAGE);
	munmap((void *)q, 2 * PAGE);
}

static void huge_pages_that_are_away_take_no_memory(void **state)
{
	takes_no_memory(*state, true);
}

/* The device copies the pages out, and nobody takes them. */
static void copied_out_in_vain(struct with_devmem *w, char *p, size_t pages)
{
	const uint64_t before = stats_of(w).copied_out;

	w->copying.hold_out = 1;
	/* The call may find the lock taken, and then has asked for nothing. */
	while (!w->copying.held)
		assert_int_equal(
			hmm_migrate_to_system(w->m.mm, at(p), at(p) + pages * PAGE, HMM_NO_WAIT),
			-ETIME);
	copying_release(&w->copying.hold_out);
	while (stats_of(w).copied_out < before + pages * PAGE)
		sched_yield();
}

/* What a device alone has is nowhere else, also if it has been at home in between. */
static void nothing_stays_in_a_buffer(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, 64);

	copied_out_in_vain(w, p, 64);
	assert_int_equal(bounced(w), 64);
	assert_numbered(p, 8, 1);
	assert_numbered(p + 40 * PAGE, 3, 41);
	assert_int_equal(to_device(w, p, 64), 0);
	assert_int_equal(bounced(w), 64 - 8 - 3);
	assert_numbered(p, 8, 1);
	assert_numbered(p + 40 * PAGE, 3, 41);
	/* these are needed still, however long that takes */
	usleep(50000);
	until_bounced(w, 64 - 8 - 3);
	assert_numbered(p + 8 * PAGE, 32, 9);
	assert_numbered(p + 43 * PAGE, 21, 44);
	until_bounced(w, 0);
	assert_int_equal(to_device(w, p, 64), 0);
	assert_int_equal(bounced(w), 0);
	assert_int_equal(staged(w), 0);
	if (break_rule("keep-bounce")) {
		assert_numbered(p, 64, 1);
		assert_int_equal(to_device(w, p, 64), 0);
		assert_int_not_equal(bounced(w), 0);
		mend();
	}
	munmap(p, 64 * PAGE);
}

/* What does not fit into the buffers passes through the stage. */
static void more_than_the_buffers_take(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, 64);

	for (size_t i = 0; i < BOUNCES + 2; i++)
		copied_out_in_vain(w, p + 2 * i * PAGE, 1);
	assert_int_equal(bounced(w), BOUNCES);
	assert_int_equal(staged(w), 2);
	assert_int_equal(to_system(w, p, 64), 0);
	assert_int_equal(staged(w), 0);
	assert_numbered(p, 64, 1);
	until_bounced(w, 0);
	munmap(p, 64 * PAGE);
}

/* A buffer is used again, for other pages of other blocks. */
static void a_buffer_that_is_used_again(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, PAGES);

	for (size_t i = 0; i < 200; i++) {
		const size_t n = i * 379 % PAGES;

		assert_numbered(p + n * PAGE, 1, (int)n + 1);
	}
	for (size_t i = 0; i < PAGES; i++)
		*(unsigned int *)(p + i * PAGE) += 1000;
	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_int_equal(to_system(w, p + 100 * PAGE, 800), 0);
	assert_numbered(p, PAGES, 1001);
	munmap(p, PAGES * PAGE);
}

static void pages_in_a_row_are_one_call(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, PAGES);

	assert_int_equal(w->copying.calls_in, PAGES / 512);
	assert_int_equal(to_system(w, p, PAGES), 0);
	assert_int_equal(w->copying.calls_out, PAGES / 512);
	assert_numbered(p, PAGES, 1);
	munmap(p, PAGES * PAGE);
}

static void what_the_device_writes_comes_home(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, 64);
	struct hmm_engine *engine;

	assert_int_equal(hmm_engine_create(w->m.mm, &engine), 0);
	hmm_engine_enter(engine);
	for (size_t i = 0; i < 64; i++)
		*(unsigned int *)on_device(w, i) += 1000;
	device_wrote(w);
	hmm_engine_exit(engine);
	hmm_engine_destroy(engine);
	assert_numbered(p, 64, 1001);
	munmap(p, 64 * PAGE);
}

static void bad_options_are_refused(void **state)
{
	struct with_devmem *w = *state;
	struct hmm_devmem_options o = { .size = sizeof(o), .bytes = 2 * MIB, .owner = w };
	struct hmm_devmem *d;

	o.copy_in = on_copy_in;
	assert_int_equal(hmm_devmem_create(w->m.mm, &o, &d), -EINVAL);
	o.copy_in = NULL;
	o.copy_out = on_copy_out;
	assert_int_equal(hmm_devmem_create(w->m.mm, &o, &d), -EINVAL);
	o.copy_out = NULL;
	o.copy_timeout_ns = 1;
	assert_int_equal(hmm_devmem_create(w->m.mm, &o, &d), -EINVAL);
	o.copy_timeout_ns = 0;
	o.flags = HMM_DEVMEM_BACKED;
	assert_int_equal(hmm_devmem_create(w->m.mm, &o, &d), -EINVAL);
	o.flags = 0;
	assert_int_equal(hmm_devmem_create(w->m.mm, &o, &d), 0);
	assert_int_equal(hmm_devmem_lose(d), -EINVAL);
	assert_int_equal(hmm_devmem_lose(NULL), -EINVAL);
	assert_int_equal(hmm_devmem_destroy(d, HMM_FOREVER), 0);
	w->m.mm->provider.poisons = false;
	o.copy_in = on_copy_in;
	o.copy_out = on_copy_out;
	assert_int_equal(hmm_devmem_create(w->m.mm, &o, &d), -EOPNOTSUPP);
	w->m.mm->provider.poisons = true;
}

/* ---- during a copy --------------------------------------------------------------------------- */

struct job {
	struct with_devmem *w;
	char *p;
	size_t pages;
	bool home;
	int ret;
	_Atomic bool done;
};

static void *run_job(void *arg)
{
	struct job *j = arg;

	j->ret = j->home ? to_system(j->w, j->p, j->pages) : to_device(j->w, j->p, j->pages);
	j->done = true;
	return NULL;
}

static void *touch(void *arg)
{
	struct job *j = arg;

	j->ret = *(volatile int *)j->p;
	j->done = true;
	return NULL;
}

static void start(pthread_t *thread, void *(*fn)(void *), struct job *j)
{
	assert_int_equal(pthread_create(thread, NULL, fn, j), 0);
}

/* Until the device has all of it nobody says that it has. */
static void a_device_sees_nothing_on_its_way(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_block(8);
	struct job j = { .w = w, .p = p, .pages = 8 };
	struct job t = { .w = w, .p = p };
	pthread_t threads[2];

	number(p, 8, 1);
	w->copying.hold_in = 1;
	start(&threads[0], run_job, &j);
	until_held(w, 1);
	assert_int_equal(away(w, p, 8), 0);
	if (break_rule("early-owned")) {
		assert_int_equal(away(w, p, 8), 8);
		mend();
	}
	start(&threads[1], touch, &t);
	usleep(50000);
	assert_false(t.done || j.done);
	copying_release(&w->copying.hold_in);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(j.ret, 0);
	assert_int_equal(t.ret, 1);
	assert_numbered(p, 8, 1);
	munmap(p, 8 * PAGE);
}

static void is_told(struct with_devmem *w, char *p, bool yes)
{
	struct job t = { .w = w, .p = p };
	const int told = w->m.events[HMM_EVENT_MIGRATE];
	pthread_t thread;

	w->copying.hold_out = 1;
	start(&thread, touch, &t);
	until_held(w, 1);
	assert_int_equal(w->m.events[HMM_EVENT_MIGRATE] > told, yes);
	copying_release(&w->copying.hold_out);
	pthread_join(thread, NULL);
}

/* What a device is asked for is its own no more: it has been told. */
static void a_device_is_told_before_it_copies(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, 8);

	is_told(w, p, true);
	assert_int_equal(away(w, p, 8), 7);
	if (break_rule("out-silent")) {
		is_told(w, p + PAGE, false);
		mend();
	}
	munmap(p, 8 * PAGE);
}

/* The program's calls do not wait for the device. */
static void changes_during_a_copy(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, PAGES);
	char *to = map_block(PAGES);
	struct job j = { .w = w, .p = p, .pages = PAGES, .home = true };
	pthread_t thread;
	uint64_t began;

	w->copying.hold_out = 1;
	start(&thread, run_job, &j);
	until_held(w, 1);
	began = now_ns();
	assert_int_equal(munmap(p, 100 * PAGE), 0);
	assert_int_equal(madvise(p + 100 * PAGE, 100 * PAGE, MADV_DONTNEED), 0);
	assert_ptr_equal(mremap(p + 300 * PAGE, (PAGES - 300) * PAGE, (PAGES - 300) * PAGE,
				MREMAP_MAYMOVE | MREMAP_FIXED, to + 7 * PAGE),
			 to + 7 * PAGE);
	assert_true(now_ns() - began < LONG_NS);
	assert_false(j.done);
	copying_release(&w->copying.hold_out);
	pthread_join(thread, NULL);
	for (size_t i = 100; i < 200; i++)
		assert_int_equal(p[i * PAGE], 0);
	assert_numbered(p + 200 * PAGE, 100, 201);
	assert_numbered(to + 7 * PAGE, PAGES - 300, 301);
	munmap(p, 300 * PAGE);
	munmap(to, PAGES * PAGE);
}

/* The same on the way to the device. */
static void an_unmapping_while_pages_are_copied_in(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_block(PAGES);
	struct job j = { .w = w, .p = p, .pages = PAGES };
	pthread_t thread;

	number(p, PAGES, 1);
	w->copying.hold_in = 1;
	start(&thread, run_job, &j);
	until_held(w, 1);
	assert_int_equal(munmap(p, 100 * PAGE), 0);
	assert_false(j.done);
	copying_release(&w->copying.hold_in);
	pthread_join(thread, NULL);
	assert_numbered(p + 100 * PAGE, PAGES - 100, 101);
	munmap(p, PAGES * PAGE);
	while (stats_of(w).used)
		sched_yield();
}

/* ---- failures -------------------------------------------------------------------------------- */

static void what_cannot_be_copied_in_stays(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_block(PAGES);

	number(p, PAGES, 1);
	w->copying.fail_in = true;
	assert_int_equal(to_device(w, p, PAGES), -ENOENT);
	assert_int_equal(w->result.left[HMM_MIGRATE_COPY], PAGES);
	assert_int_equal(w->result.moved + w->result.huge, 0);
	assert_int_equal(resident(at(p), PAGES * PAGE), PAGES);
	assert_numbered(p, PAGES, 1);
	w->copying.fail_in = false;
	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_numbered(p, PAGES, 1);
	munmap(p, PAGES * PAGE);
}

static void the_touched_page_is_lost_alone(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, 16);

	w->copying.fail_out = true;
	assert_true(is_sigbus(p + 3 * PAGE));
	assert_true(is_sigbus(p + 3 * PAGE + 100));
	assert_int_equal(stats_of(w).lost, PAGE);
	w->copying.fail_out = false;
	assert_true(is_sigbus(p + 3 * PAGE));
	/* it does not migrate, nor does the library fill it */
	assert_int_equal(to_device(w, p, 16), 0);
	assert_int_equal(w->result.left[HMM_MIGRATE_BUSY], 1);
	assert_true(is_sigbus(p + 3 * PAGE));
	assert_numbered(p, 3, 1);
	assert_numbered(p + 4 * PAGE, 12, 5);
	assert_int_equal(madvise(p + 3 * PAGE, PAGE, MADV_DONTNEED), 0);
	assert_int_equal(p[3 * PAGE], 0);
	assert_int_equal(to_device(w, p, 16), 0);
	w->copying.fail_out = true;
	if (break_rule("lost-zeros")) {
		assert_false(is_sigbus(p + 3 * PAGE));
		mend();
	}
	w->copying.fail_out = false;
	munmap(p, 16 * PAGE);
}

static void one_bad_page_of_many(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, PAGES);
	const uint64_t start = stats_of(w).start;

	w->copying.bad = hmm_pfn_to_addr(w->m.pfns[700]) - start + 1;
	assert_int_equal(to_system(w, p, PAGES), -EIO);
	assert_int_equal(away(w, p, PAGES), 1);
	assert_numbered(p, 700, 1);
	assert_numbered(p + 701 * PAGE, PAGES - 701, 702);
	assert_int_equal(hmm_devmem_destroy(w->d, HMM_FOREVER), -EIO);
	/* it is on the device still */
	*(unsigned int *)on_device(w, 700) += 5;
	device_wrote(w);
	w->copying.bad = 0;
	assert_int_equal(p[700 * PAGE] & 0xff, (701 + 5) & 0xff);
	munmap(p, PAGES * PAGE);
}

static void a_device_that_hangs_while_it_copies_in(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_block(PAGES);
	uint64_t began = now_ns();

	number(p, PAGES, 1);
	hang(w, &w->copying.hold_in);
	assert_int_equal(to_device(w, p, PAGES), -ENOENT);
	assert_int_equal(w->result.left[HMM_MIGRATE_COPY], PAGES);
	assert_true(now_ns() - began < LONG_NS);
	assert_int_equal(resident(at(p), PAGES * PAGE), PAGES);
	assert_numbered(p, PAGES, 1);
	assert_int_equal(to_device(w, p, PAGES), -EIO);
	go_on(w, &w->copying.hold_in);
	while (stats_of(w).used)
		sched_yield();
	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_int_equal(away(w, p, PAGES), PAGES);
	assert_numbered(p, PAGES, 1);
	munmap(p, PAGES * PAGE);
}

static void a_device_that_hangs_while_it_copies_out(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, PAGES);
	uint64_t began = now_ns();

	hang(w, &w->copying.hold_out);
	assert_true(is_sigbus(p + 3 * PAGE));
	assert_true(is_sigbus(p + 9 * PAGE));
	assert_true(now_ns() - began < LONG_NS);
	assert_true(now_ns() - began >= LIMIT_NS);
	began = now_ns();
	assert_int_equal(to_system(w, p, PAGES), -EIO);
	munmap(p + 100 * PAGE, 100 * PAGE);
	assert_true(now_ns() - began < LONG_NS);
	assert_int_equal(stats_of(w).lost, 2 * PAGE);
	go_on(w, &w->copying.hold_out);
	assert_numbered(p, 3, 1);
	assert_numbered(p + 4 * PAGE, 5, 5);
	assert_numbered(p + 10 * PAGE, 90, 11);
	assert_numbered(p + 200 * PAGE, PAGES - 200, 201);
	assert_true(is_sigbus(p + 3 * PAGE));
	munmap(p, PAGES * PAGE);
}

static void a_device_that_loses_its_memory(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, 64);

	assert_numbered(p, 8, 1);
	assert_int_equal(hmm_devmem_lose(w->d), 0);
	assert_numbered(p, 8, 1);
	assert_true(is_sigbus(p + 8 * PAGE));
	assert_int_equal(to_device(w, p, 8), -EIO);
	assert_numbered(p, 8, 1);
	assert_int_equal(stats_of(w).lost, PAGE);
	assert_int_equal(away(w, p, 64), 0);
	/* the end leaves the rest so */
	assert_int_equal(hmm_devmem_destroy(w->d, HMM_FOREVER), 0);
	assert_numbered(p, 8, 1);
	for (size_t i = 8; i < 64; i++)
		assert_true(is_sigbus(p + i * PAGE));
	munmap(p, 64 * PAGE);
	assert_int_equal(make_region(w, REGION, 0, w, &w->d), 0);
}

/* One thread waits for a page of the device that is lost meanwhile. */
static void a_device_that_is_lost_while_it_hangs(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, 64);
	struct job j = { .w = w, .p = p, .pages = 64, .home = true };
	pthread_t thread;

	/* What comes first is the loss: the time limit comes afterwards. */
	w->copying.hold_out = 1;
	start(&thread, run_job, &j);
	until_held(w, 1);
	assert_int_equal(hmm_devmem_lose(w->d), 0);
	pthread_join(thread, NULL);
	assert_int_equal(j.ret, 0);
	assert_int_equal(stats_of(w).lost, 64 * PAGE);
	w->d->copier->timeout = LIMIT_NS;
	/* the callback hangs on, the region ends without it */
	assert_int_equal(hmm_devmem_destroy(w->d, HMM_FOREVER), 0);
	assert_true(is_sigbus(p + 63 * PAGE));
	copying_release(&w->copying.hold_out);
	while (w->copying.held)
		sched_yield();
	munmap(p, 64 * PAGE);
	assert_int_equal(make_region(w, REGION, 0, w, &w->d), 0);
}

static void the_space_ends_with_a_device_that_hangs(void **state)
{
	static struct with_devmem w;
	uint64_t began;
	char *p;

	(void)state;
	devmem_open_copying(&w, REGION, 0, 0);
	p = pages_on_device(&w, 64);
	assert_numbered(p, 8, 1);
	hang(&w, &w.copying.hold_out);
	began = now_ns();
	mirror_close(&w.m);
	assert_true(now_ns() - began < LONG_NS);
	assert_numbered(p, 8, 1);
	for (size_t i = 8; i < 64; i++)
		assert_true(is_sigbus(p + i * PAGE));
	munmap(p, 64 * PAGE);
	copying_release(&w.copying.hold_out);
	while (w.copying.held)
		sched_yield();
	copying_close(&w.copying);
}

/* ---- forks ----------------------------------------------------------------------------------- */

static int child_of_hanging(char *p, bool told)
{
	catch_sigbus();
	if (sigsetjmp(out, 1))
		return told ? 0 : 1;
	if (*(volatile unsigned int *)p)
		return 2;
	return told ? 3 : 0;
}

static void a_fork_while_the_device_hangs(void **state)
{
	struct with_devmem *w = *state;
	const bool told = w->m.mm->provider.event_fork;
	char *p = pages_on_device(w, 64);
	uint64_t began = now_ns();
	pid_t pid;

	hang(w, &w->copying.hold_out);
	pid = fork();
	if (!pid)
		_exit(child_of_hanging(p, told));
	assert_true(now_ns() - began < LONG_NS);
	assert_int_equal(status_of(pid), 0);
	go_on(w, &w->copying.hold_out);
	assert_numbered(p, 64, 1);
	munmap(p, 64 * PAGE);
}

/* A child that libc does not know has no copy of what is on the device, and no zeros either. */
static void a_raw_clone(void **state)
{
	struct with_devmem *w = *state;
	const bool told = w->m.mm->provider.event_fork;
	char *p = pages_on_device(w, 64);
	pid_t pid;

	assert_numbered(p, 8, 1);
	pid = raw_clone(0);
	if (!pid) {
		if (*(volatile unsigned int *)p != 1)
			_exit(9);
		_exit(child_of_hanging(p + 8 * PAGE, told));
	}
	assert_int_equal(status_of(pid), 0);
	assert_numbered(p, 64, 1);
	munmap(p, 64 * PAGE);
}

/* ---- many who wait --------------------------------------------------------------------------- */

#define THREADS (FAULTS_MAX + 20)

static void more_threads_wait_than_are_listed(void **state)
{
	static struct job j[THREADS];
	static pthread_t threads[THREADS];
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, THREADS);

	w->copying.hold_out = 1;
	for (size_t i = 0; i < THREADS; i++) {
		j[i] = (struct job){ .p = p + i * PAGE };
		start(&threads[i], touch, &j[i]);
	}
	until_held(w, 1);
	usleep(100000);
	copying_release(&w->copying.hold_out);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(j[i].ret, i + 1);
	}
	munmap(p, THREADS * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_away_takes_no_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(huge_pages_that_are_away_take_no_memory, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_backed_region_keeps_the_pages, setup_backed,
						teardown),
		cmocka_unit_test_setup_teardown(a_backed_region_keeps_huge_pages, setup_backed,
						teardown),
		cmocka_unit_test_setup_teardown(a_backed_zero_page_is_written, setup_backed,
						teardown),
		cmocka_unit_test_setup_teardown(nothing_stays_in_a_buffer, setup, teardown),
		cmocka_unit_test_setup_teardown(more_than_the_buffers_take, setup, teardown),
		cmocka_unit_test_setup_teardown(a_buffer_that_is_used_again, setup, teardown),
		EITHER(pages_in_a_row_are_one_call),
		EITHER(what_the_device_writes_comes_home),
		cmocka_unit_test_setup_teardown(bad_options_are_refused, setup, teardown),
		EITHER(a_device_sees_nothing_on_its_way),
		EITHER(a_device_is_told_before_it_copies),
		EITHER(changes_during_a_copy),
		EITHER(an_unmapping_while_pages_are_copied_in),
		EITHER(what_cannot_be_copied_in_stays),
		EITHER(the_touched_page_is_lost_alone),
		EITHER(one_bad_page_of_many),
		EITHER(a_device_that_hangs_while_it_copies_in),
		EITHER(a_device_that_hangs_while_it_copies_out),
		EITHER(a_device_that_loses_its_memory),
		EITHER(a_device_that_is_lost_while_it_hangs),
		cmocka_unit_test(the_space_ends_with_a_device_that_hangs),
		EITHER(a_fork_while_the_device_hangs),
		EITHER(a_raw_clone),
		EITHER(more_threads_wait_than_are_listed),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
