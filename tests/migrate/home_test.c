// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Each way home: data is what the program, or the device, wrote last. */
#include "common/devmem.h"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static struct with_devmem with;

static int setup(void **state)
{
	devmem_open(&with, REGION, 0);
	*state = &with;
	return 0;
}

static int setup_copying(void **state)
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

static int teardown(void **state)
{
	devmem_close(*state);
	return 0;
}

static bool is_full(const struct with_devmem *w)
{
	return !w->m.mm->provider.user_mode_only;
}

/* Numbered pages that are all away. */
static char *pages_on_device(struct with_devmem *w, size_t pages)
{
	char *p = map_anon(pages * PAGE, RW);

	number(p, pages, 1);
	assert_int_equal(to_device(w, p, pages), 0);
	assert_int_equal(away(w, p, pages), pages);
	return p;
}

static void by_a_write(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, 8);

	((volatile unsigned int *)p)[PAGE / 4 + 1] = 77;
	assert_int_equal(((unsigned int *)p)[PAGE / 4 + 1], 77);
	assert_numbered(p, 8, 1);
	assert_int_equal(away(w, p, 8), 0);
	munmap(p, 8 * PAGE);
}

static void by_a_byte_of_a_page(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, 4);
	uint64_t from = at(p) + PAGE;

	assert_int_equal(hmm_migrate_to_system(w->m.mm, from, from + 1, HMM_FOREVER), 0);
	assert_int_equal(away(w, p, 4), 3);
	from += PAGE + 100;
	assert_int_equal(hmm_migrate_to_system(w->m.mm, from, from + PAGE, HMM_FOREVER), 0);
	assert_int_equal(away(w, p, 4), 1);
	assert_numbered(p, 4, 1);
	munmap(p, 4 * PAGE);
}

static void by_a_system_call(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, 2);
	unsigned int word = 0;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	if (is_full(w)) {
		assert_int_equal(write(fds[1], p, 4), 4);
		assert_int_equal(read(fds[0], &word, 4), 4);
		assert_int_equal(word, 1);
		assert_int_equal(away(w, p, 2), 1);
	} else {
		assert_int_equal(write(fds[1], p, 4), -1);
		assert_int_equal(errno, EFAULT);
		assert_int_equal(away(w, p, 2), 2);
	}
	assert_numbered(p, 2, 1);
	close(fds[0]);
	close(fds[1]);
	munmap(p, 2 * PAGE);
}

/* From page 1 of 8 to another place of another alignment, with what is on the device. */
static void moved_by(struct with_devmem *w, size_t pages, size_t part, int flags)
{
	char *p = pages_on_device(w, pages);
	char *to = map_fd((pages + 8) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *new;

	new = mremap(p, part * PAGE, part * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | flags,
		     to + 3 * PAGE);
	if (new == MAP_FAILED && flags &&errno == EINVAL)
		skip();
	assert_ptr_equal(new, to + 3 * PAGE);
	assert_int_equal(away(w, new, part), part);
	assert_numbered(new, part, 1);
	if (flags) {
		for (size_t i = 0; i < part; i++)
			assert_int_equal(p[i * PAGE], 0);
	}
	assert_numbered(p + part * PAGE, pages - part, 1 + (unsigned int)part);
	munmap(p, pages * PAGE);
	munmap(to, (pages + 8) * PAGE);
}

/* A part is protected while the rest migrates: afterwards it is one mapping, as without us. */
static void protected_for_a_moment(struct with_devmem *w, size_t lo, size_t hi, size_t out)
{
	char *p = map_anon(16 * PAGE, RW);
	char *to = map_fd(16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	number(p, 16, 1);
	assert_int_equal(mprotect(p + lo * PAGE, (hi - lo) * PAGE, PROT_READ), 0);
	assert_int_equal(to_device(w, p + out * PAGE, 2), 0);
	assert_int_equal(mprotect(p, 16 * PAGE, RW), 0);
	assert_ptr_equal(mremap(p, 16 * PAGE, 16 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
	assert_numbered(to, 16, 1);
	munmap(to, 16 * PAGE);
}

static void after_a_part_was_protected(void **state)
{
	protected_for_a_moment(*state, 0, 4, 8);
	protected_for_a_moment(*state, 12, 16, 8);
	protected_for_a_moment(*state, 4, 8, 0);
	protected_for_a_moment(*state, 4, 8, 12);
}

/* What is registered beside what is away is trapped, too, or the kernel would not join them. */
static void after_a_device_touched_what_is_beside(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(16 * PAGE, RW);
	char *to = map_fd(16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	number(p, 16, 1);
	assert_int_equal(mprotect(p + 8 * PAGE, 8 * PAGE, PROT_NONE), 0);
	assert_int_equal(to_device(w, p, 8), 0);
	assert_int_equal(mprotect(p, 16 * PAGE, RW), 0);
	assert_int_equal(fault(&w->m, p + 8 * PAGE, 8, REQ_WRITE), 0);
	assert_ptr_equal(mremap(p, 16 * PAGE, 16 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
	assert_numbered(to, 16, 1);
	munmap(to, 16 * PAGE);
}

static void after_mremap(void **state)
{
	moved_by(*state, 8, 8, 0);
}

static void after_mremap_of_blocks(void **state)
{
	moved_by(*state, 1024, 1024, 0);
}

static void after_mremap_with_dontunmap(void **state)
{
	moved_by(*state, 8, 8, MREMAP_DONTUNMAP);
}

/* The kernel moves no part of what is registered: EFAULT, and nothing is lost. */
static void after_mremap_that_grows(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, 8);
	char *new = mremap(p, 8 * PAGE, 600 * PAGE, MREMAP_MAYMOVE);

	assert_ptr_not_equal(new, MAP_FAILED);
	assert_numbered(new, 8, 1);
	for (size_t i = 8; i < 600; i += 64)
		assert_int_equal(new[i * PAGE], 0);
	munmap(new, 600 * PAGE);
}

static void after_a_partial_munmap(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, 1024);

	munmap(p + 200 * PAGE, 600 * PAGE);
	assert_int_equal(away(w, p, 200), 200);
	assert_numbered(p, 200, 1);
	assert_numbered(p + 800 * PAGE, 224, 801);
	/* what comes there is new */
	assert_ptr_equal(mmap(p + 200 * PAGE, 600 * PAGE, RW,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 p + 200 * PAGE);
	for (size_t i = 200; i < 800; i++)
		assert_int_equal(p[i * PAGE], 0);
	munmap(p, 1024 * PAGE);
}

static void after_mprotect(void **state)
{
	struct with_devmem *w = *state;
	struct hmm_devmem_stats s = { .size = sizeof(s) };
	const bool moves = !w->copying.memory || w->d->options.flags & HMM_DEVMEM_BACKED;
	char *p = pages_on_device(w, 16);

	assert_int_equal(mprotect(p, 8 * PAGE, PROT_READ), 0);
	assert_numbered(p, 16, 1);
	assert_int_equal(hmm_devmem_get_stats(w->d, &s), 0);
	/* What a device has copied out elsewhere is not moved anyway. */
	assert_int_equal(s.copied_home, moves ? 8 * PAGE : 0);
	assert_int_equal(mprotect(p, 8 * PAGE, RW), 0);
	number(p, 16, 100);
	assert_int_equal(to_device(w, p, 16), 0);
	assert_int_equal(mprotect(p, 4 * PAGE, PROT_NONE), 0);
	assert_int_equal(to_system(w, p, 16), 0);
	assert_int_equal(mprotect(p, 4 * PAGE, RW), 0);
	assert_numbered(p, 16, 100);
	munmap(p, 16 * PAGE);
}

static void after_mlock(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, 8);

	if (is_full(w))
		assert_int_equal(syscall(SYS_mlock, p, 8 * PAGE), 0);
	else
		syscall(SYS_mlock, p, 8 * PAGE);
	assert_numbered(p, 8, 1);
	munmap(p, 8 * PAGE);
}

static void discarded(struct with_devmem *w, int advice)
{
	char *p = pages_on_device(w, 16);

	if (madvise(p + 4 * PAGE, 4 * PAGE, advice)) {
		assert_int_equal(errno, EINVAL);
		munmap(p, 16 * PAGE);
		skip();
	}
	assert_numbered(p, 4, 1);
	for (size_t i = 4; i < 8; i++)
		assert_int_equal(p[i * PAGE], 0);
	assert_numbered(p + 8 * PAGE, 8, 9);
	/* what is written after it is the program's, and moves again */
	number(p + 4 * PAGE, 4, 50);
	assert_int_equal(to_device(w, p, 16), 0);
	assert_numbered(p + 4 * PAGE, 4, 50);
	munmap(p, 16 * PAGE);
}

static void after_dontneed(void **state)
{
	discarded(*state, MADV_DONTNEED);
}

static void after_free(void **state)
{
	discarded(*state, MADV_FREE);
}

static void after_collapse(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, 1024);

	/* It may fail, as holes that are trapped are not collapsed. */
	madvise(p, 1024 * PAGE, 25 /* MADV_COLLAPSE */);
	assert_numbered(p, 1024, 1);
	munmap(p, 1024 * PAGE);
}

static void by_the_populating_of_the_program(void **state)
{
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, 8);
	const int ret = madvise(p, 8 * PAGE, MADV_POPULATE_WRITE);

	assert_true(!ret || !is_full(w));
	assert_numbered(p, 8, 1);
	munmap(p, 8 * PAGE);
}

static void with_read_ahead(void **state)
{
	struct with_devmem *w = *state;
	const struct hmm_devmem_options o = {
		.size = sizeof(o), .bytes = 2 * MIB, .owner = &w->m, .fault_around = 4 * PAGE
	};
	struct hmm_devmem *d;
	char *p = map_anon(16 * PAGE, RW);

	assert_int_equal(hmm_devmem_create(w->m.mm, &o, &d), 0);
	number(p, 16, 1);
	assert_int_equal(hmm_migrate_to_device(d, at(p), at(p) + 16 * PAGE, HMM_FOREVER, NULL), 0);
	assert_numbered(p + 6 * PAGE, 1, 7);
	assert_int_equal(pages_away(w, p, 16, &w->m), 12);
	assert_int_equal(pages_away(w, p + 4 * PAGE, 4, &w->m), 0);
	assert_numbered(p, 16, 1);
	assert_int_equal(hmm_devmem_destroy(d, HMM_FOREVER), 0);
	munmap(p, 16 * PAGE);
}

/* A page that was never touched, in memory that is trapped. */
static void a_first_touch_is_zero(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(16 * PAGE, RW);

	number(p, 4, 1);
	assert_int_equal(to_device(w, p, 4), 0);
	for (size_t i = 4; i < 16; i++) {
		assert_int_equal(p[i * PAGE], 0);
		p[i * PAGE] = 1;
	}
	assert_int_equal(fault(&w->m, p, 16, REQ_WRITE), 0);
	assert_true(all_flags(&w->m, 16, VALID | WRITE));
	assert_numbered(p, 4, 1);
	munmap(p, 16 * PAGE);
}

/* hmm_range_fault() of memory that is trapped and was not touched. */
static void a_device_faults_what_was_not_touched(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(64 * PAGE, RW);

	number(p, 4, 1);
	assert_int_equal(to_device(w, p, 4), 0);
	assert_int_equal(fault(&w->m, p, 64, REQ_WRITE), 0);
	assert_true(all_flags(&w->m, 64, VALID | WRITE));
	assert_numbered(p, 4, 1);
	munmap(p, 64 * PAGE);
}

/*
 * A thread's stack lies beside memory that is trapped, so that the kernel joins the two: deep calls
 * of the library touch pages of the stack that were never touched.
 */
static void *call_on_stack(void *arg)
{
	struct with_devmem *w = arg;
	char *p = map_anon(4 * PAGE, RW);

	number(p, 4, 1);
	assert_int_equal(to_device(w, p, 4), 0);
	assert_int_equal(away(w, p, 4), 4);
	assert_numbered(p, 4, 1);
	munmap(p, 4 * PAGE);
	return NULL;
}

static void a_stack_beside_trapped_memory(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(4 * MIB, RW);
	pthread_attr_t attr;
	pthread_t thread;

	number(p + 2 * MIB, 4, 1);
	assert_int_equal(to_device(w, p + 2 * MIB, 4), 0);
	pthread_attr_init(&attr);
	assert_int_equal(pthread_attr_setstack(&attr, p, 2 * MIB), 0);
	assert_int_equal(pthread_create(&thread, &attr, call_on_stack, w), 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attr);
	assert_numbered(p + 2 * MIB, 4, 1);
	munmap(p, 4 * MIB);
}

static int slow(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	if (inv->event == HMM_EVENT_UNMAP) {
		*(_Atomic bool *)priv = true;
		usleep(400000);
	}
	return 0;
}

static void *unmap(void *p)
{
	munmap(p, PAGE);
	return NULL;
}

/*
 * The pump hangs in a callback, so the watchdog reads what is told meanwhile: pages in device
 * memory are moved, and are found where they belong.
 */
static void while_the_pump_hangs(void **state)
{
	const struct hmm_interval_notifier_ops ops = { .size = sizeof(ops), .invalidate = slow };
	struct with_devmem *w = *state;
	char *p = pages_on_device(w, 600);
	char *other = map_anon(PAGE, RW);
	char *to = map_fd(610 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct hmm_interval_notifier *ni;
	_Atomic bool hangs = false;
	pthread_t thread;

	assert_int_equal(
		hmm_interval_notifier_insert(w->m.mm, at(other), PAGE, &ops, (void *)&hangs, &ni),
		0);
	assert_int_equal(fault(&w->m, other, 1, REQ_WRITE), 0);
	assert_int_equal(pthread_create(&thread, NULL, unmap, other), 0);
	while (!hangs)
		sched_yield();
	assert_ptr_equal(
		mremap(p, 600 * PAGE, 600 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + 5 * PAGE),
		to + 5 * PAGE);
	munmap(to + 5 * PAGE, PAGE);
	assert_numbered(to + 6 * PAGE, 599, 2);
	pthread_join(thread, NULL);
	hmm_interval_notifier_remove(ni);
	munmap(to, 610 * PAGE);
}

#define ROUNDS 300

struct pong {
	struct with_devmem *w;
	char *p;
	_Atomic bool stop;
	_Atomic unsigned long touches[2];
};

static void *touch(void *arg)
{
	struct pong *pong = arg;
	static _Atomic unsigned int threads;
	const unsigned int me = threads++ % 2;

	while (!pong->stop) {
		__atomic_fetch_add((uint64_t *)pong->p + me, 1, __ATOMIC_RELAXED);
		pong->touches[me]++;
	}
	return NULL;
}

/* Two threads and a device want one page: all of them come on, and no count is lost. */
static void ping_pong(void **state)
{
	struct with_devmem *w = *state;
	struct pong pong = { .w = w, .p = map_anon(PAGE, RW) };
	pthread_t threads[2];
	uint64_t moved = 0;

	memset(pong.p, 0, PAGE);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, touch, &pong), 0);
	for (int i = 0; i < ROUNDS; i++) {
		const unsigned long before[2] = { pong.touches[0], pong.touches[1] };

		assert_int_equal(to_device(w, pong.p, 1), 0);
		moved += w->result.moved;
		while (pong.touches[0] == before[0] || pong.touches[1] == before[1])
			sched_yield();
	}
	pong.stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_true(moved >= ROUNDS / 2);
	for (int i = 0; i < 2; i++)
		assert_int_equal(((uint64_t *)pong.p)[i], pong.touches[i]);
	munmap(pong.p, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(by_a_write),
		BOTH(by_a_byte_of_a_page),
		BOTH(by_a_system_call),
		BOTH(after_mremap),
		BOTH(after_a_part_was_protected),
		BOTH(after_a_device_touched_what_is_beside),
		BOTH(after_mremap_of_blocks),
		BOTH(after_mremap_with_dontunmap),
		BOTH(after_mremap_that_grows),
		BOTH(after_a_partial_munmap),
		BOTH(after_mprotect),
		BOTH(after_mlock),
		BOTH(after_dontneed),
		BOTH(after_free),
		BOTH(after_collapse),
		BOTH(by_the_populating_of_the_program),
		BOTH(with_read_ahead),
		BOTH(a_first_touch_is_zero),
		BOTH(a_device_faults_what_was_not_touched),
		BOTH(a_stack_beside_trapped_memory),
		BOTH(while_the_pump_hangs),
		BOTH(ping_pong),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
