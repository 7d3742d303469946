// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Watching without populating, and checks that settle, that go by kind, and that make no call. */
#include "common/mirror.h"

#include "common/held_discard.h"
#include "base/deadline.h"
#include "kernel/vma.h"
#include "notifier/notifier.h"

#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <time.h>

#define LONG 30000000000ULL /* for a pump that has no processor */

struct watched {
	struct hmm_mm *mm;
	struct hmm_interval_notifier *ni;
	struct hmm_range range;
	_Atomic int events;
	_Atomic bool hang;
};

static int count_event(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
		       void *priv)
{
	struct watched *w = priv;
	const struct timespec ts = { 0, 1000000 };

	w->events++;
	while (w->hang)
		nanosleep(&ts, NULL);
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { .size = sizeof(ops),
						      .invalidate = count_event };

static int watch(struct watched *w, struct hmm_mm *mm, void *p, size_t bytes)
{
	w->mm = mm;
	w->events = 0;
	w->hang = false;
	assert_int_equal(hmm_interval_notifier_insert(mm, at(p), bytes, &ops, w, &w->ni), 0);
	w->range = (struct hmm_range){
		.size = sizeof(w->range), .notifier = w->ni, .start = at(p), .end = at(p) + bytes
	};
	return hmm_range_watch(&w->range, LONG);
}

static void unwatch_range(struct watched *w)
{
	hmm_interval_notifier_remove(w->ni);
}

static struct hmm_mm *attach(void)
{
	struct hmm_mm *mm;

	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	return mm;
}

static bool present(const void *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t word = 0;

	assert_int_equal(pread(fd, &word, 8, (off_t)(at(p) / PAGE * 8)), 8);
	close(fd);
	return word >> 63;
}

static void no_page_comes_in_and_changes_are_told(void **state)
{
	struct hmm_mm *mm = attach();
	char *p = map_anon(64 * MIB, RW);
	struct watched w;

	assert_int_equal(watch(&w, mm, p, 64 * MIB), 0);
	for (size_t i = 0; i < 64 * MIB; i += MIB)
		assert_false(present(p + i));
	assert_int_equal(hmm_range_check_timeout(&w.range, HMM_CHECK_KIND, LONG), 0);
	/* what is touched later is watched as well */
	p[5 * MIB] = 1;
	assert_int_equal(hmm_range_check_timeout(&w.range, HMM_CHECK_KIND, LONG), 0);
	munmap(p + 5 * MIB, PAGE);
	assert_int_equal(hmm_range_check_timeout(&w.range, HMM_CHECK_KIND, LONG), -ESTALE);
	/* It is refused before drivers are told. */
	assert_int_equal(hmm_mm_barrier(mm, HMM_FOREVER), 0);
	assert_true(w.events > 0);
	unwatch_range(&w);
	munmap(p, 64 * MIB);
	hmm_mm_detach(mm);
}

static void what_cannot_be_watched_is_refused(void **state)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register r = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct hmm_mm *mm = attach();
	char *p = map_anon(4 * PAGE, RW);
	struct watched w;
	int fd;

	/* a hole, and memory that nobody may read */
	munmap(p + 2 * PAGE, PAGE);
	assert_int_equal(watch(&w, mm, p, 4 * PAGE), -EFAULT);
	unwatch_range(&w);
	mprotect(p + 3 * PAGE, PAGE, PROT_NONE);
	assert_int_equal(watch(&w, mm, p + 3 * PAGE, PAGE), -EFAULT);
	unwatch_range(&w);
	/* the vdso */
	assert_int_equal(watch(&w, mm, (void *)getauxval(AT_SYSINFO_EHDR), PAGE), -EOPNOTSUPP);
	unwatch_range(&w);
	munmap(p, 4 * PAGE);
	/* another userfaultfd's */
	p = map_anon(4 * PAGE, RW);
	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	assert_int_equal(ioctl(fd, UFFDIO_API, &api), 0);
	r.range = (struct uffdio_range){ at(p), PAGE };
	assert_int_equal(ioctl(fd, UFFDIO_REGISTER, &r), 0);
	assert_int_equal(watch(&w, mm, p, PAGE), -EOPNOTSUPP);
	assert_int_equal(watch(&w, mm, p, 2 * PAGE), -EOPNOTSUPP);
	close(fd);
	assert_int_equal(hmm_range_watch(&w.range, LONG), 0);
	/* wrong calls */
	w.range.end++;
	assert_int_equal(hmm_range_watch(&w.range, LONG), -EINVAL);
	w.range.end += PAGE - 1;
	assert_int_equal(hmm_range_watch(&w.range, LONG), -EINVAL);
	w.range.end -= PAGE;
	w.range.flags = HMM_RANGE_LOOK;
	assert_int_equal(hmm_range_watch(&w.range, LONG), -EINVAL);
	assert_int_equal(hmm_range_check(&w.range, 1U << 5), -EINVAL);
	assert_int_equal(hmm_range_check_timeout(&w.range, 1U << 5, LONG), -EINVAL);
	unwatch_range(&w);
	munmap(p, 4 * PAGE);
	hmm_mm_detach(mm);
}

/* A discard whose thread has been joined: on a busy machine it may be pending for a while. */
static int watch_after_a_discard(struct watched *w)
{
	const uint64_t until = clock_ns() + 2 * LONG;
	int err;

	do
		err = hmm_range_watch(&w->range, LONG);
	while (err == -EAGAIN && clock_ns() < until);
	return err;
}

static void a_pending_discard_is_waited_for_and_then_refused(void **state)
{
	struct hmm_mm *mm = attach();
	char *p = map_anon(4 * PAGE, RW);
	struct held_discard held;
	struct watched w;
	int err = -ESTALE;

	assert_int_equal(watch(&w, mm, p, 4 * PAGE), 0);
	memset(p, 1, 4 * PAGE);
	held_discard_begin(&held);
	assert_int_equal(madvise(p, PAGE, MADV_DONTNEED), 0);
	assert_int_equal(hmm_range_watch(&w.range, HMM_FOREVER), -EAGAIN);
	assert_int_equal(hmm_range_watch(&w.range, HMM_NO_WAIT), -EAGAIN);
	held_discard_end(&held);
	/* The pump may find the discard's end once more, and outdate what was watched before. */
	for (int i = 0; err == -ESTALE && i < 1000; i++) {
		assert_int_equal(watch_after_a_discard(&w), 0);
		err = hmm_range_check_timeout(&w.range, HMM_CHECK_KIND, LONG);
	}
	assert_int_equal(err, 0);
	unwatch_range(&w);
	munmap(p, 4 * PAGE);
	hmm_mm_detach(mm);
}

/* Linked in the place of the library's: what happens just before the sequence is read. */
int __real_ni_read_begin(struct hmm_interval_notifier *ni, uint64_t deadline, uint64_t *seq);
int __wrap_ni_read_begin(struct hmm_interval_notifier *ni, uint64_t deadline, uint64_t *seq);

static char *discarded_before_the_sequence;

int __wrap_ni_read_begin(struct hmm_interval_notifier *ni, uint64_t deadline, uint64_t *seq)
{
	char *p = discarded_before_the_sequence;

	discarded_before_the_sequence = NULL;
	if (p)
		assert_int_equal(madvise(p, PAGE, MADV_DONTNEED), 0);
	return __real_ni_read_begin(ni, deadline, seq);
}

/*
 * watch			program
 * registers
 *				a discard is announced
 * reads the sequence
 * looks: pending
 *				discards
 */
static void a_discard_that_begins_during_the_watch_is_seen(void **state)
{
	struct hmm_mm *mm = attach();
	char *p = map_anon(4 * PAGE, RW);
	struct held_discard held;
	struct watched w;

	assert_int_equal(watch(&w, mm, p, 4 * PAGE), 0);
	memset(p, 1, 4 * PAGE);
	held_discard_begin(&held);
	discarded_before_the_sequence = p;
	assert_int_equal(hmm_range_watch(&w.range, LONG), -EAGAIN);
	assert_null(discarded_before_the_sequence);
	held_discard_end(&held);
	assert_int_equal(watch_after_a_discard(&w), 0);
	unwatch_range(&w);
	munmap(p, 4 * PAGE);
	hmm_mm_detach(mm);
}

static void the_kind_says_which_checks_are_made(void **state)
{
	struct hmm_mm *mm = attach();
	int fd = memfd_create("watched", MFD_CLOEXEC);
	char *anon = map_anon(4 * PAGE, RW);
	struct watched w, a;
	char *p;

	assert_int_equal(ftruncate(fd, 4 * PAGE), 0);
	p = map_fd(4 * PAGE, RW, MAP_SHARED, fd, 0);
	memset(p, 1, 4 * PAGE);
	if (watch(&w, mm, p, 4 * PAGE) == -EOPNOTSUPP) {
		unwatch_range(&w);
		munmap(p, 4 * PAGE);
		close(fd);
		hmm_mm_detach(mm);
		skip(); /* shared memory cannot be watched without asynchronous protection */
	}
	assert_int_equal(watch(&a, mm, anon, 4 * PAGE), 0);
	assert_int_equal(ni_kinds(a.ni), 0);
	assert_int_equal(ni_kinds(w.ni), HMM_CHECK_FILE);
	assert_int_equal(hmm_range_check_timeout(&w.range, HMM_CHECK_KIND, LONG), 0);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), 0);
	/* no event tells of the hole */
	assert_int_equal(hmm_range_check_timeout(&w.range, HMM_CHECK_KIND, LONG), -ESTALE);
	assert_int_equal(hmm_range_check_timeout(&a.range, HMM_CHECK_KIND, LONG), 0);
	/* mprotect of anonymous memory is no business of what is pinned */
	mprotect(anon, PAGE, PROT_READ);
	assert_int_equal(hmm_range_check_timeout(&a.range, HMM_CHECK_KIND, LONG), 0);
	assert_int_equal(hmm_range_check_timeout(&a.range, HMM_CHECK_VMA, LONG), -ESTALE);
	unwatch_range(&a);
	unwatch_range(&w);
	munmap(p, 4 * PAGE);
	munmap(anon, 4 * PAGE);
	close(fd);
	hmm_mm_detach(mm);
}

/* ---- order ----------------------------------------------------------------------------------- */

struct order {
	char *p;
	_Atomic int turn;
	_Atomic bool stop;
};

static void *remap_when_asked(void *arg)
{
	struct order *o = arg;

	while (!o->stop) {
		if (o->turn != 1) {
			sched_yield(); /* the pump may want this processor */
			continue;
		}
		if (mmap(o->p, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != o->p)
			abort();
		o->turn = 2;
	}
	return NULL;
}

static void a_change_that_returned_is_seen_without_a_call(void **state)
{
	struct hmm_mm *mm = attach();
	struct order o = { .p = map_anon(PAGE, RW) };
	struct watched w;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, remap_when_asked, &o), 0);
	assert_int_equal(watch(&w, mm, o.p, PAGE), 0);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(hmm_range_check_timeout(&w.range, HMM_CHECK_ORDERED, LONG), 0);
		o.turn = 1;
		while (o.turn != 2)
			sched_yield();
		/* the first word is enough: the other thread's call has returned */
		assert_int_equal(hmm_range_check(&w.range, HMM_CHECK_ORDERED), -ESTALE);
		assert_int_equal(hmm_range_watch(&w.range, LONG), 0);
	}
	o.stop = true;
	pthread_join(thread, NULL);
	unwatch_range(&w);
	munmap(o.p, PAGE);
	hmm_mm_detach(mm);
}

/* ---- settling -------------------------------------------------------------------------------- */

struct other {
	struct hmm_mm *mm;
	_Atomic bool stop;
	_Atomic int rounds;
};

static void *unmap_others(void *arg)
{
	struct other *o = arg;

	while (!o->stop) {
		char *p = map_anon(PAGE, RW);
		struct watched w;

		assert_int_equal(watch(&w, o->mm, p, PAGE), 0);
		munmap(p, PAGE);
		unwatch_range(&w);
		o->rounds++;
	}
	return NULL;
}

static void changes_of_other_memory_refuse_nothing(void **state)
{
	struct hmm_mm *mm = attach();
	const uint64_t end = clock_ns() + 10000000000ULL;
	struct other o = { .mm = mm };
	char *p = map_anon(PAGE, RW);
	struct watched w;
	pthread_t thread;

	assert_int_equal(watch(&w, mm, p, PAGE), 0);
	assert_int_equal(pthread_create(&thread, NULL, unmap_others, &o), 0);
	/* On a busy machine each check may wait for the pump, and fewer must do. */
	for (int i = 0; (i < 20000 && clock_ns() < end) || o.rounds < 50; i++)
		assert_int_equal(hmm_range_check_timeout(&w.range, HMM_CHECK_KIND, LONG), 0);
	munmap(p, PAGE);
	assert_int_equal(hmm_range_check_timeout(&w.range, HMM_CHECK_KIND, LONG), -ESTALE);
	o.stop = true;
	pthread_join(thread, NULL);
	unwatch_range(&w);
	hmm_mm_detach(mm);
}

static void *unmap_page(void *arg)
{
	munmap(arg, PAGE);
	return NULL;
}

static void a_driver_that_hangs_costs_the_timeout(void **state)
{
	struct hmm_mm *mm = attach();
	char *p = map_anon(PAGE, RW);
	char *q = map_anon(PAGE, RW);
	struct watched w, stuck;
	pthread_t thread;

	assert_int_equal(watch(&w, mm, p, PAGE), 0);
	assert_int_equal(watch(&stuck, mm, q, PAGE), 0);
	stuck.events = 0;
	stuck.hang = true;
	assert_int_equal(pthread_create(&thread, NULL, unmap_page, q), 0);
	while (!stuck.events)
		usleep(1000);
	assert_int_equal(hmm_range_check(&w.range, 0), -ESTALE);
	assert_int_equal(hmm_range_check_timeout(&w.range, 0, 2000000), -ETIME);
	assert_int_equal(hmm_range_check_timeout(&w.range, 0, HMM_NO_WAIT), -ETIME);
	stuck.hang = false;
	pthread_join(thread, NULL);
	assert_int_equal(hmm_range_check_timeout(&w.range, 0, LONG), 0);
	unwatch_range(&w);
	unwatch_range(&stuck);
	munmap(p, PAGE);
	hmm_mm_detach(mm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_page_comes_in_and_changes_are_told),
		cmocka_unit_test(what_cannot_be_watched_is_refused),
		cmocka_unit_test(a_pending_discard_is_waited_for_and_then_refused),
		cmocka_unit_test(a_discard_that_begins_during_the_watch_is_seen),
		cmocka_unit_test(the_kind_says_which_checks_are_made),
		cmocka_unit_test(a_change_that_returned_is_seen_without_a_call),
		cmocka_unit_test(changes_of_other_memory_refuse_nothing),
		cmocka_unit_test(a_driver_that_hangs_costs_the_timeout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
