// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* hmm_range_fault() against threads that change the mapping, and its deadline. */
#include "common/mirror.h"
#include "common/held_discard.h"

#include "kernel/abi/madvise.h"
#include "kernel/abi/pagemap.h"
#include "base/deadline.h"
#include "watch/discard.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#define PAGES 64

struct race {
	struct mirror m;
	char *p;
	_Atomic bool stop;
	_Atomic unsigned long changes;
};

static int setup(void **state)
{
	static struct race r;

	memset(&r, 0, sizeof(r));
	mirror_open(&r.m, 0);
	r.p = map_anon(PAGES * PAGE, RW);
	memset(r.p, 1, PAGES * PAGE);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	struct race *r = *state;

	mirror_close(&r->m);
	munmap(r->p, PAGES * PAGE);
	return 0;
}

/*
 * Run fn() against faults until both came far enough; check() looks at each answer. On a busy
 * machine, or an emulated one, that may take minutes: after a while a part of it must do.
 */
static void race(struct race *r, void *(*fn)(void *), uint64_t request,
		 void (*check)(struct race *, int err))
{
	const uint64_t end = clock_ns() + 12000000000ULL;
	unsigned long stood = 0;
	pthread_t t;

	r->m.timeout_ns = 5000000000ULL; /* it may collide for ever */
	assert_int_equal(pthread_create(&t, NULL, fn, r), 0);
	/* in an emulated guest of 6.1: 40 stood against a million discards */
	while (stood < 5 || r->changes < 20 ||
	       ((stood < 500 || r->changes < 500) && clock_ns() < end)) {
		int err = fault(&r->m, r->p, PAGES, request);

		check(r, err);
		stood += !hmm_interval_stale(r->m.ni, r->m.range.notifier_seq);
	}
	r->stop = true;
	pthread_join(t, NULL);
}

static void *unmap_and_map(void *arg)
{
	struct race *r = arg;
	char *q = r->p + 10 * PAGE;

	while (!r->stop) {
		munmap(q, PAGE);
		assert_ptr_equal(mmap(q, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
				 q);
		*q = 1;
		r->changes++;
	}
	return NULL;
}

static void all_or_hole(struct race *r, int err)
{
	/* It collided for as long as it was given; the loop counts those that stood. */
	if (err == -EBUSY)
		return;
	if (!err) {
		assert_true(all_flags(&r->m, PAGES, VALID | WRITE));
		return;
	}
	assert_int_equal(err, -EFAULT);
	assert_int_equal(r->m.range.last, at(r->p) + 10 * PAGE);
	assert_int_equal(flags_of(&r->m, 9), VALID | WRITE);
	/* requests and sticky bits are as they were, here none */
	for (int i = 10; i < PAGES; i++)
		assert_true(!(r->m.pfns[i] & ~NOTHING));
}

static void against_munmap(void **state)
{
	race(*state, unmap_and_map, REQ_WRITE, all_or_hole);
}

static void *protect(void *arg)
{
	struct race *r = arg;

	while (!r->stop) {
		mprotect(r->p + 10 * PAGE, PAGE, PROT_READ);
		mprotect(r->p + 10 * PAGE, PAGE, RW);
		r->changes++;
	}
	return NULL;
}

static void all_or_denied(struct race *r, int err)
{
	if (err == -EBUSY)
		return;
	if (!err) {
		assert_true(all_flags(&r->m, PAGES, VALID | WRITE));
		return;
	}
	assert_int_equal(err, -EPERM);
	assert_int_equal(r->m.range.last, at(r->p) + 10 * PAGE);
}

static void against_mprotect(void **state)
{
	race(*state, protect, REQ_WRITE, all_or_denied);
}

static void *discard(void *arg)
{
	const struct timespec ts = { 0, 20000 };
	struct race *r = arg;

	while (!r->stop) {
		madvise(r->p + 10 * PAGE, PAGE, MADV_DONTNEED);
		/* so that a fault stands now and then on an emulated machine, too */
		if (!(++r->changes % 8))
			nanosleep(&ts, NULL);
	}
	return NULL;
}

static void all_present(struct race *r, int err)
{
	if (err == -EBUSY)
		return;
	assert_int_equal(err, 0);
	for (int i = 0; i < PAGES; i++)
		assert_true(r->m.pfns[i] & VALID);
}

static void against_discard(void **state)
{
	race(*state, discard, REQ_READ, all_present);
}

/* A snapshot's requests are those of the caller, however often it has to start over. */
static void snapshot_against_discard_faults_nothing_in(void **state)
{
	struct race *r = *state;
	const uint64_t end = clock_ns() + 400000000ULL;
	pthread_t t;
	int err;

	madvise(r->p + 20 * PAGE, PAGE, MADV_DONTNEED);
	assert_int_equal(fault(&r->m, r->p, 1, REQ_READ), 0);
	assert_int_equal(pthread_create(&t, NULL, discard, r), 0);
	while (clock_ns() < end) {
		for (int i = 0; i < PAGES; i++)
			r->m.pfns[i] = i == 5 ? REQ_READ : 0;
		err = fault_masked(&r->m, r->p, PAGES, 0, REQ_WRITE);
		/* on a busy machine it may collide for as long as it is given */
		if (err == -EBUSY)
			continue;
		assert_int_equal(err, 0);
		assert_true(r->m.pfns[5] & VALID);
		/* nobody asked for this one */
		assert_true(r->m.pfns[20] == 0);
	}
	r->stop = true;
	pthread_join(t, NULL);
}

/* Linked in the place of hmm_interval_read_retry(): while set, something is invalidated each time.
 */
static struct race *colliding;
static int collisions_left;
bool __real_hmm_interval_read_retry(struct hmm_interval_notifier *ni, uint64_t seq);
bool __wrap_hmm_interval_read_retry(struct hmm_interval_notifier *ni, uint64_t seq);

bool __wrap_hmm_interval_read_retry(struct hmm_interval_notifier *ni, uint64_t seq)
{
	if (colliding && collisions_left) {
		struct hmm_invalidation inv = { .start = at(colliding->p),
						.end = at(colliding->p) + PAGE,
						.event = HMM_EVENT_MIGRATE };

		collisions_left--;
		/* present when the first attempt saw it, requested by nobody */
		madvise(colliding->p + 22 * PAGE, PAGE, MADV_DONTNEED);
		hmm_interval_invalidate(colliding->m.mm, &inv);
	}
	return __real_hmm_interval_read_retry(ni, seq);
}

/* Linked in the place of ni_read_begin(), which comes between faulting and snapshot. */
static void (*between)(struct race *r);
static struct race *between_of;
int __real_ni_read_begin(struct hmm_interval_notifier *ni, uint64_t deadline, uint64_t *seq);
int __wrap_ni_read_begin(struct hmm_interval_notifier *ni, uint64_t deadline, uint64_t *seq);

int __wrap_ni_read_begin(struct hmm_interval_notifier *ni, uint64_t deadline, uint64_t *seq)
{
	void (*fn)(struct race * r) = between;

	between = NULL;
	if (fn)
		fn(between_of);
	return __real_ni_read_begin(ni, deadline, seq);
}

static int fault_while(struct race *r, void (*fn)(struct race *r), uint64_t request)
{
	between_of = r;
	between = fn;
	return fault(&r->m, r->p, PAGES, request);
}

static void forbid(struct race *r)
{
	mprotect(r->p + 10 * PAGE, PAGE, PROT_READ);
}

static void permission_lost_before_the_snapshot_is_seen(void **state)
{
	struct race *r = *state;

	assert_int_equal(fault_while(r, forbid, REQ_WRITE), -EPERM);
	assert_int_equal(r->m.range.last, at(r->p) + 10 * PAGE);
	mprotect(r->p + 10 * PAGE, PAGE, RW);
	assert_int_equal(fault_while(r, forbid, 0), 0);
	assert_int_equal(flags_of(&r->m, 10), VALID);
}

static void make_zero(struct race *r)
{
	volatile char *p = r->p + 10 * PAGE;

	madvise(r->p + 10 * PAGE, PAGE, MADV_DONTNEED);
	(void)*p;
}

static void zero_page_in_the_place_of_a_written_one_is_seen(void **state)
{
	struct race *r = *state;
	uint64_t word;

	assert_int_equal(fault_while(r, make_zero, REQ_WRITE), 0);
	assert_true(all_flags(&r->m, PAGES, VALID | WRITE));
	assert_int_equal(pagemap_words(mm_pagemap(r->m.mm), at(r->p) + 10 * PAGE, 1, &word), 0);
	assert_true(word & PM_WORD_EXCLUSIVE);
}

static void zero_page_is_seen_without_a_scan_as_well(void **state)
{
	struct race *r = *state;

	mirror_close(&r->m);
	mirror_open(&r->m, HMM_MM_NO_PAGEMAP_SCAN);
	zero_page_in_the_place_of_a_written_one_is_seen(state);
}

static void unmap_one(struct race *r)
{
	munmap(r->p + 10 * PAGE, PAGE);
}

static void hole_made_before_the_snapshot_is_seen(void **state)
{
	struct race *r = *state;

	assert_int_equal(fault_while(r, unmap_one, REQ_READ), -EFAULT);
	assert_int_equal(r->m.range.last, at(r->p) + 10 * PAGE);
}

/*
 * Linked in the place of madvise(): while it is set, the memory is changed right before populating
 * and changed back right after it, as by a thread that takes turns with the fault.
 */
static void (*around)(struct race *r, bool before);
static struct race *around_of;
static int around_left;
static bool no_memory;
int __real_madvise(void *start, size_t bytes, int advice);
int __wrap_madvise(void *start, size_t bytes, int advice);

int __wrap_madvise(void *start, size_t bytes, int advice)
{
	const bool populates = advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE;
	int err;
	int ret;

	if (populates && no_memory) {
		errno = ENOMEM;
		return -1;
	}
	if (!populates || !around || !around_left)
		return __real_madvise(start, bytes, advice);
	around_left--;
	around(around_of, true);
	ret = __real_madvise(start, bytes, advice);
	err = errno;
	around(around_of, false);
	errno = err;
	return ret;
}

#define TURNS 100 /* more than an error needs to be believed */

static int fault_in_turns(struct race *r, void (*fn)(struct race *r, bool before), uint64_t request)
{
	int err;

	around_of = r;
	around = fn;
	around_left = TURNS;
	r->m.range = (struct hmm_range){ .size = sizeof(r->m.range),
					 .notifier = r->m.ni,
					 .start = at(r->p),
					 .end = at(r->p) + PAGES * PAGE,
					 .hmm_pfns = r->m.pfns,
					 .default_flags = request };
	/* a turn may take long on an emulated machine */
	err = hmm_range_fault(&r->m.range, HMM_FOREVER);
	around = NULL;
	assert_int_equal(around_left, 0);
	return err;
}

static void hole_while_populating(struct race *r, bool before)
{
	char *page = r->p + 10 * PAGE;

	if (before)
		munmap(page, PAGE);
	else
		assert_ptr_equal(
			mmap(page, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), page);
}

/* Populating says ENOMEM, and each look-up finds the mapping. */
static void hole_that_no_look_up_sees_is_no_want_of_memory(void **state)
{
	struct race *r = *state;

	assert_int_equal(fault_in_turns(r, hole_while_populating, REQ_WRITE), 0);
	assert_true(all_flags(&r->m, PAGES, VALID | WRITE));
	mirror_close(&r->m);
	mirror_open(&r->m, HMM_MM_NO_PAGEMAP_SCAN | HMM_MM_NO_WP_ASYNC);
	assert_int_equal(fault_in_turns(r, hole_while_populating, REQ_WRITE), 0);
	assert_true(all_flags(&r->m, PAGES, VALID | WRITE));
}

static void forbid_while_populating(struct race *r, bool before)
{
	mprotect(r->p + 10 * PAGE, PAGE, before ? PROT_READ : RW);
}

/* Populating a file's page says EINVAL, as for memory that can never be populated. */
static void denial_that_no_look_up_sees_is_none(void **state)
{
	struct race *r = *state;
	char path[32];
	int fd = make_file(path, PAGES * PAGE);

	unlink(path);
	munmap(r->p, PAGES * PAGE);
	r->p = map_fd(PAGES * PAGE, RW, MAP_SHARED, fd, 0);
	assert_non_null(r->p);
	assert_int_equal(fault_in_turns(r, forbid_while_populating, REQ_WRITE), 0);
	assert_true(all_flags(&r->m, PAGES, VALID | WRITE));
	close(fd);
}

static void want_of_memory_is_told(void **state)
{
	struct race *r = *state;

	no_memory = true;
	assert_int_equal(fault(&r->m, r->p, PAGES, REQ_WRITE), -ENOMEM);
	mirror_close(&r->m);
	mirror_open(&r->m, HMM_MM_NO_PAGEMAP_SCAN | HMM_MM_NO_WP_ASYNC);
	assert_int_equal(fault(&r->m, r->p, PAGES, REQ_WRITE), -ENOMEM);
	no_memory = false;
	assert_int_equal(r->m.range.last, at(r->p));
	assert_int_equal(fault(&r->m, r->p, PAGES, REQ_WRITE), 0);
}

static int fault_alternate_pages(struct race *r, uint64_t timeout_ns)
{
	for (int i = 0; i < PAGES; i++)
		r->m.pfns[i] = (i & 1 ? REQ_READ : 0) | HMM_PFN_DMA_MAPPED;
	r->m.range = (struct hmm_range){ .size = sizeof(r->m.range),
					 .notifier = r->m.ni,
					 .start = at(r->p),
					 .end = at(r->p) + PAGES * PAGE,
					 .hmm_pfns = r->m.pfns,
					 .pfn_flags_mask = REQ_WRITE };
	return hmm_range_fault(&r->m.range, timeout_ns);
}

static void deadline_ends_what_comes_nowhere(void **state)
{
	struct race *r = *state;
	const uint64_t begun = clock_ns();

	colliding = r;
	collisions_left = -1;
	assert_int_equal(fault_alternate_pages(r, 20000000), -EBUSY);
	colliding = NULL;
	assert_true(clock_ns() - begun >= 20000000);
	assert_true(clock_ns() - begun < 40000000000ULL); /* nor has it gone on for ever */
	/* nothing is output, and every request is where it was */
	assert_int_equal(r->m.range.last, at(r->p));
	for (int i = 0; i < PAGES; i++)
		assert_true(r->m.pfns[i] == ((i & 1 ? REQ_READ : 0) | HMM_PFN_DMA_MAPPED));
	assert_int_equal(fault_alternate_pages(r, HMM_FOREVER), 0);
}

static void collisions_are_retried_with_a_fresh_sequence(void **state)
{
	struct race *r = *state;

	/* the page that nobody asks for stays away through every attempt */
	madvise(r->p + 20 * PAGE, PAGE, MADV_DONTNEED);
	colliding = r;
	collisions_left = 5;
	assert_int_equal(fault_alternate_pages(r, HMM_FOREVER), 0);
	colliding = NULL;
	assert_int_equal(collisions_left, 0);
	assert_int_equal(r->m.events[HMM_EVENT_MIGRATE], 5);
	assert_false(hmm_interval_stale(r->m.ni, r->m.range.notifier_seq));
	assert_true(r->m.pfns[20] == HMM_PFN_DMA_MAPPED);
	assert_true(r->m.pfns[22] == HMM_PFN_DMA_MAPPED);
	assert_int_equal(flags_of(&r->m, 21), VALID | WRITE | HMM_PFN_DMA_MAPPED);
}

static void discarded_and_pending_is_transient(void **state)
{
	struct race *r = *state;
	struct mirror *m = &r->m;
	struct held_discard held;

	held_discard_begin(&held);
	assert_int_equal(fault(m, r->p, PAGES, REQ_WRITE), 0);
	/* as if the pump had just read the event of a discard whose end nobody knows */
	discard_add(m->mm, at(r->p), at(r->p) + 4 * PAGE);
	assert_int_equal(fault(m, r->p, PAGES, REQ_READ), 0);
	assert_true(transient(m, 0));
	/* armed, where pages can be: usable under a check until it is written or gone */
	assert_int_equal(hmm_range_check(&m->range, HMM_CHECK_PRESENT),
			 mm_pagemap(m->mm)->scan && mm_wp_async(m->mm) ? 0 : -ESTALE);
	madvise(r->p + PAGE, PAGE, MADV_DONTNEED);
	r->p[PAGE] = 1;
	assert_int_equal(hmm_range_check(&m->range, HMM_CHECK_PRESENT), -ESTALE);
	assert_int_equal(hmm_mm_note(m->mm, HMM_NOTE_DISCARD, at(r->p), at(r->p) + PAGES * PAGE),
			 0);
	assert_int_equal(fault(m, r->p, PAGES, REQ_READ), 0);
	assert_false(transient(m, 0));
	held_discard_end(&held);
}

#define GUARD_INSTALL 102 /* linux/mman.h of Linux 6.13 */
#define GUARD_REMOVE 103

/*
 * The end of a discard, of which nothing tells: the page is another one, and written. False: not on
 * this kernel.
 */
static bool zap_silently(char *page)
{
	if (madvise(page, PAGE, GUARD_INSTALL) || madvise(page, PAGE, GUARD_REMOVE))
		return false;
	*page = 1;
	return true;
}

/*
 * device			pump			program
 *				reads REMOVE
 * faults: TRANSIENT, armed
 *							zaps, touches: another page
 * may it be used?					the discard is over
 *
 * That it is over says nothing about a translation from before. Nor do pages that a younger fault
 * armed anew.
 */
static void transient_does_not_outlive_the_discard(void **state)
{
	struct race *r = *state;
	struct mirror *m = &r->m;
	struct hmm_range older;
	const struct timespec ts = { 0, 1000000 };
	struct held_discard held;
	bool zapped;

	held_discard_begin(&held);
	assert_int_equal(fault(m, r->p, PAGES, REQ_WRITE), 0);
	discard_add(m->mm, at(r->p), at(r->p) + 4 * PAGE);
	assert_int_equal(fault(m, r->p, PAGES, REQ_READ), 0);
	assert_true(transient(m, 0));
	older = m->range;
	zapped = mm_pagemap(m->mm)->scan && mm_wp_async(m->mm) && zap_silently(r->p);
	if (zapped) {
		assert_int_equal(hmm_range_check(&older, HMM_CHECK_PRESENT), -ESTALE);
		/* by another thread of the device, say */
		assert_int_equal(fault(m, r->p, PAGES, REQ_READ), 0);
		assert_true(transient(m, 0));
		assert_int_equal(hmm_range_check(&m->range, HMM_CHECK_PRESENT), 0);
		assert_int_equal(hmm_range_check(&older, HMM_CHECK_PRESENT), -ESTALE);
		/* what is armed already is not armed anew: both stand */
		older = m->range;
		assert_int_equal(fault(m, r->p, PAGES, REQ_READ), 0);
		assert_int_equal(hmm_range_check(&m->range, HMM_CHECK_PRESENT), 0);
		assert_int_equal(hmm_range_check(&older, HMM_CHECK_PRESENT), 0);
		older = m->range;
		assert_true(zap_silently(r->p));
	}
	held_discard_end(&held);
	/*
	 * A thread that was joined is on its way out of the kernel for a little longer. Until then
	 * a page that was not zapped is still the one that was armed.
	 */
	for (int i = 0; i < 20000; i++) {
		if (zapped)
			assert_int_equal(hmm_range_check(&older, HMM_CHECK_PRESENT), -ESTALE);
		assert_int_equal(fault(m, r->p, PAGES, REQ_READ), 0);
		if (!transient(m, 0))
			break;
		nanosleep(&ts, NULL);
	}
	assert_false(transient(m, 0));
	assert_int_equal(hmm_range_check(&older, HMM_CHECK_PRESENT), -ESTALE);
	assert_int_equal(hmm_range_check(&m->range, HMM_CHECK_PRESENT), 0);
}

static void dead_in_a_forked_child(void **state)
{
	struct race *r = *state;
	int status;
	pid_t pid;

	assert_int_equal(fault(&r->m, r->p, PAGES, REQ_WRITE), 0);
	pid = fork();
	if (!pid)
		_exit(hmm_range_fault(&r->m.range, HMM_FOREVER) != -ESRCH ||
		      hmm_range_check(&r->m.range, 7) != -ESRCH ||
		      hmm_mm_check_files(r->m.mm) != -ESRCH);
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(fault(&r->m, r->p, PAGES, REQ_WRITE), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(against_munmap),
		T(against_mprotect),
		T(against_discard),
		T(snapshot_against_discard_faults_nothing_in),
		T(deadline_ends_what_comes_nowhere),
		T(collisions_are_retried_with_a_fresh_sequence),
		T(permission_lost_before_the_snapshot_is_seen),
		T(zero_page_in_the_place_of_a_written_one_is_seen),
		T(zero_page_is_seen_without_a_scan_as_well),
		T(hole_made_before_the_snapshot_is_seen),
		T(hole_that_no_look_up_sees_is_no_want_of_memory),
		T(denial_that_no_look_up_sees_is_none),
		T(want_of_memory_is_told),
		T(discarded_and_pending_is_transient),
		T(transient_does_not_outlive_the_discard),
		T(dead_in_a_forked_child),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
