// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What a log tells, in every order in which a check, a fault and the pump may come to it. */
#include "common/space.h"
#include "common/broken.h"
#include "common/fake_log.h"
#include "common/stands.h"
#include "files/files.h"
#include "notifier/drain.h"
#include "notifier/notifier.h"
#include "base/deadline.h"
#include "base/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <hmm/log.h>
#include <hmm/range.h>

#define WAIT_NS 20000000000ULL
#define A 0x10000000ULL
#define B (A + 16 * PAGE)

/* A space whose pump sleeps unless the test wakes it: nothing but kicks does. */
struct scene {
	struct fake_log *log;
	struct hmm_mm *mm;
	struct hmm_interval_notifier *ni;
	struct seen seen;
	uint64_t seq;
};

static bool valid(const struct scene *s)
{
	return stands(s->ni, s->seq);
}

static void scene_open_with(struct scene *s, enum hmm_provider provider)
{
	struct hmm_mm_options o;

	memset(s, 0, sizeof(*s));
	s->log = fake_log_open();
	fake_options(&o, provider);
	assert_int_equal(hmm_mm_attach(&o, &s->mm), 0);
	assert_int_equal(hmm_interval_notifier_insert(s->mm, A, B - A, &on_ops, &s->seen, &s->ni),
			 0);
	s->seq = hmm_interval_read_begin(s->ni);
	assert_true(valid(s));
}

static void scene_open(struct scene *s)
{
	scene_open_with(s, HMM_PROVIDER_BPF);
}

static void scene_close(struct scene *s)
{
	hmm_interval_notifier_remove(s->ni);
	hmm_mm_detach(s->mm);
	fake_log_close(s->log);
}

static void told(struct scene *s)
{
	assert_int_equal(hmm_mm_barrier(s->mm, WAIT_NS), 0);
}

static struct hmm_mm_info info_of(const struct scene *s)
{
	struct hmm_mm_info info = { .size = sizeof(info) };

	assert_int_equal(hmm_mm_get_info(s->mm, &info), 0);
	return info;
}

static void nothing_is_registered(void **state)
{
	struct scene s;
	struct hmm_mm_info info;

	(void)state;
	scene_open(&s);
	info = info_of(&s);
	assert_int_equal(info.provider, HMM_PROVIDER_BPF);
	assert_int_equal(info.provider_error, 0);
	assert_false(mm_registers(s.mm));
	assert_int_equal(s.mm->provider.fd.fd, -1);
	scene_close(&s);
	scene_open_with(&s, HMM_PROVIDER_BOTH);
	assert_int_equal(info_of(&s).provider, HMM_PROVIDER_BOTH);
	assert_true(mm_registers(s.mm));
	scene_close(&s);
}

/* A filesystem could not be unmounted, as no event tells the pump that the mapping is gone. */
static void no_file_is_kept_open(void **state)
{
	const int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct hmm_interval_notifier *ni;
	uint64_t pfn = 0;
	struct scene s;
	void *p;

	(void)state;
	if (fd < 0)
		skip();
	assert_int_equal(ftruncate(fd, PAGE), 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(p != MAP_FAILED);
	scene_open(&s);
	assert_int_equal(
		hmm_interval_notifier_insert(s.mm, (uintptr_t)p, PAGE, &on_ops, &s.seen, &ni), 0);
	assert_int_equal(hmm_range_fault(
				 &(struct hmm_range){
					 .size = sizeof(struct hmm_range),
					 .notifier = ni,
					 .start = (uintptr_t)p,
					 .end = (uintptr_t)p + PAGE,
					 .hmm_pfns = &pfn,
					 .default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE,
				 },
				 WAIT_NS),
			 0);
	assert_int_equal(files_descriptors(), 0);
	hmm_interval_notifier_remove(ni);
	scene_close(&s);
	munmap(p, PAGE);
	close(fd);
}

static void a_beginning_makes_stale_before_the_change(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	fake_begin(s.log, A + PAGE, A + 2 * PAGE, WATCH_UNMAP);
	assert_true(hmm_interval_stale(s.ni, s.seq));
	told(&s);
	assert_int_equal(s.seen.events[HMM_EVENT_UNMAP], 1);
	assert_int_equal(s.seen.last.start, A + PAGE);
	assert_int_equal(s.seen.last.end, A + 2 * PAGE);
	fake_end(s.log, A + PAGE, A + 2 * PAGE, WATCH_UNMAP);
	assert_true(stands(s.ni, hmm_interval_read_begin(s.ni)));
	told(&s);
	assert_int_equal(s.seen.calls, 1);
	scene_close(&s);
}

/* The check reads the record, the pump runs the callback: once. */
static void each_change_is_told_once(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	for (int i = 1; i <= 100; i++) {
		fake_change(s.log, A, A + PAGE, i & 1 ? WATCH_CLEAR : WATCH_PROTECT);
		if (i % 3)
			assert_true(hmm_interval_stale(s.ni, s.seq));
		s.seq = hmm_interval_read_begin(s.ni);
		if (i % 7 == 0)
			told(&s);
	}
	told(&s);
	assert_int_equal(s.seen.calls, 100);
	assert_int_equal(s.seen.events[HMM_EVENT_CLEAR], 50);
	assert_int_equal(s.seen.events[HMM_EVENT_PROTECT], 50);
	assert_int_equal(info_of(&s).log_records, 200);
	assert_int_equal(info_of(&s).log_resets, 0);
	scene_close(&s);
}

static void other_memory_disturbs_nothing(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	for (int i = 0; i < 1000; i++) {
		fake_change(s.log, B, B + PAGE, WATCH_UNMAP);
		assert_true(valid(&s));
	}
	told(&s);
	assert_int_equal(s.seen.calls, 0);
	/* not even a fault, which looks at the last few numbers */
	assert_true(ni_unchanged(s.ni, A, B, &s.seq));
	scene_close(&s);
}

/*
 * Not over, unless what was met then was given up meanwhile: an end is waited for a second, and a
 * busy machine may take that long.
 */
static void waits(struct scene *s, uint64_t start, uint64_t end, uint64_t met)
{
	const int ret = log_wait(s->mm, start, end, clock_ns() + 5000000);

	assert_true(ret == -ETIME || (!ret && clock_ns() - met >= LOG_OPEN_NS));
}

static void *tell_later(void *arg)
{
	struct scene *s = arg;

	sleep_ms(20);
	fake_end(s->log, A, B, WATCH_CLEAR);
	return NULL;
}

/* Until it is over a fault may read the page table as it was. */
static void a_sequence_waits_for_the_end(void **state)
{
	struct watch_record end;
	struct scene s;
	uint64_t met;
	pthread_t t;

	(void)state;
	scene_open(&s);
	fake_begin(s.log, A, B, WATCH_CLEAR);
	met = clock_ns();
	waits(&s, A, B, met);
	assert_int_equal(log_wait(s.mm, B, B + PAGE, clock_ns() + WAIT_NS), 0);
	/* the end of another thread's change ends nothing */
	assert_int_equal(pthread_create(&t, NULL, tell_later, &s), 0);
	pthread_join(t, NULL);
	waits(&s, A, B, met);
	end = fake_record(A, B, WATCH_CLEAR);
	end.flags = WATCH_END;
	fake_commit(s.log, fake_reserve(s.log, &end));
	assert_int_equal(log_wait(s.mm, A, B, clock_ns() + WAIT_NS), 0);
	scene_close(&s);
}

static void the_end_of_an_outer_change_ends_the_inner(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	fake_begin(s.log, A, B, WATCH_MIGRATE);
	fake_begin(s.log, A, A + PAGE, WATCH_CLEAR);
	waits(&s, A, B, clock_ns());
	fake_end(s.log, A, B, WATCH_MIGRATE);
	assert_int_equal(log_wait(s.mm, A, B, clock_ns() + WAIT_NS), 0);
	scene_close(&s);
}

/* It took effect at some time before. */
static void an_end_without_a_beginning_is_a_change(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	fake_end(s.log, A, A + PAGE, WATCH_CLEAR);
	assert_true(hmm_interval_stale(s.ni, s.seq));
	told(&s);
	assert_int_equal(s.seen.calls, 1);
	scene_close(&s);
}

/* Between seq and commit: a record that is being written is news, though nobody can read it. */
static void a_record_that_is_being_written_is_not_quiet(void **state)
{
	const struct watch_record r = { .start = A, .end = B, .kind = WATCH_UNMAP };
	struct scene s;
	uint64_t at;

	(void)state;
	scene_open(&s);
	at = fake_reserve(s.log, &r);
	assert_true(hmm_interval_stale(s.ni, s.seq));
	assert_int_equal(atomic_load(&s.ni->seq), s.seq);
	assert_int_equal(hmm_mm_barrier(s.mm, 5000000), -ETIME);
	assert_int_equal(s.seen.calls, 0);
	fake_commit(s.log, at);
	/* A use that finds the log's lock busy is refused, and handles nothing. */
	assert_true(hmm_interval_stale(s.ni, s.seq));
	told(&s);
	assert_int_not_equal(atomic_load(&s.ni->seq), s.seq);
	assert_int_equal(s.seen.calls, 1);
	scene_close(&s);
}

static void a_full_log_invalidates_everything(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	pthread_mutex_lock(&s.mm->log->lock); /* nobody reads */
	while (!s.log->space.dropped)
		fake_begin(s.log, B, B + PAGE, WATCH_UNMAP);
	pthread_mutex_unlock(&s.mm->log->lock);
	assert_true(hmm_interval_stale(s.ni, s.seq));
	told(&s);
	assert_int_not_equal(atomic_load(&s.ni->told), s.seq);
	s.seq = hmm_interval_read_begin(s.ni);
	assert_true(valid(&s));
	told(&s);
	assert_int_equal(s.seen.events[HMM_EVENT_CLEAR], 1);
	assert_int_equal(s.seen.last.start, 0);
	assert_int_equal(s.seen.last.end, UINT64_MAX);
	assert_int_equal(info_of(&s).log_resets, 1);
	/* those changes were under way: what was made since is invalid when one ends */
	fake_end(s.log, A, A + PAGE, WATCH_UNMAP);
	assert_true(hmm_interval_stale(s.ni, s.seq));
	scene_close(&s);
}

static void a_skipped_program_invalidates_everything(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	fake_add(&s.log->global.word, 1); /* a thread is out */
	assert_true(hmm_interval_stale(s.ni, s.seq));
	assert_int_equal(atomic_load(&s.ni->seq), s.seq);
	fake_add(&s.log->global.word, WATCH_ON - 1); /* it goes on */
	assert_true(hmm_interval_stale(s.ni, s.seq));
	told(&s);
	assert_int_not_equal(atomic_load(&s.ni->seq), s.seq);
	assert_true(stands(s.ni, hmm_interval_read_begin(s.ni)));
	told(&s);
	assert_int_equal(s.seen.calls, 1);
	assert_int_equal(info_of(&s).log_resets, 1);
	scene_close(&s);
}

/*
 * What is not waited for takes less than the second that an end is waited for. On a busy machine it
 * may take longer for once, not always.
 */
static void takes_no_second(bool (*scene)(void))
{
	bool soon = false;

	for (int i = 0; i < 10 && !soon; i++)
		soon = scene();
	assert_true(soon);
}

/* Is it over in less than that? */
static bool ends_soon(struct scene *s, uint64_t start, uint64_t end)
{
	const int ret = log_wait(s->mm, start, end, clock_ns() + LOG_OPEN_NS / 2);

	assert_true(!ret || ret == -ETIME);
	return !ret;
}

static bool lose_an_end(void)
{
	struct scene s;
	bool soon;

	scene_open(&s);
	fake_begin(s.log, A, B, WATCH_UNMAP);
	fake_add(&s.log->space.trouble, 1);
	assert_true(hmm_interval_stale(s.ni, s.seq));
	fake_add(&s.log->global.word, WATCH_ON);
	soon = ends_soon(&s, A, B);
	s.seq = atomic_load(&s.ni->seq);
	fake_end(s.log, A, B, WATCH_UNMAP);
	assert_true(hmm_interval_stale(s.ni, s.seq));
	scene_close(&s);
	return soon;
}

/* What is lost may be an end. When the lock was taken once the call is over. */
static void an_end_that_is_lost_is_not_waited_for(void **state)
{
	(void)state;
	takes_no_second(lose_an_end);
}

#define MS 1000000ULL
#define BIG (128UL << 20) /* unmapped in less time than LOG_SETTLE_NS */

static struct {
	char *p;
	_Atomic bool called;
	uint64_t returned; /* at that time */
} unmapping;

/* A call that holds the lock of the address space for a while. */
static void *unmap_much(void *arg)
{
	(void)arg;
	atomic_store(&unmapping.called, true);
	munmap(unmapping.p, BIG);
	unmapping.returned = clock_ns();
	return NULL;
}

/* Was the call under way when something was lost, and over when the log was trusted again? */
static void unmap_and_lose(struct scene *s, int *under_way, int *waited)
{
	uint64_t lost, trusted, rest;
	pthread_t thread;
	bool half;

	unmapping.p = mmap(NULL, BIG, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	assert_ptr_not_equal(unmapping.p, MAP_FAILED);
	atomic_store(&unmapping.called, false);
	assert_int_equal(pthread_create(&thread, NULL, unmap_much, NULL), 0);
	while (!atomic_load(&unmapping.called))
		sched_yield();
	sleep_ms(1);
	fake_add(&s->log->space.trouble, 1);
	lost = clock_ns();
	assert_int_equal(log_wait(s->mm, A, B, clock_ns() + WAIT_NS), 0);
	trusted = clock_ns();
	pthread_join(thread, NULL);
	if (unmapping.returned < lost + MS)
		return;
	/*
	 * The call lets go of the lock shortly before it returns: on a busy machine its thread may
	 * then have to wait for a processor. After some time nobody waits for the lock any more.
	 */
	rest = unmapping.returned - lost;
	half = trusted - lost > rest / 2;
	*under_way += half || rest < LOG_SETTLE_NS;
	*waited += half;
}

/*
 * The beginning of a change may be lost while it is under way. It holds the lock of the address
 * space, and a reader takes that lock before it trusts the log again. Nothing else makes the wait
 * as long as the call, mostly.
 */
static void a_change_without_beginning_is_waited_for(void **state)
{
	int under_way = 0, waited = 0;
	struct scene s;

	(void)state;
	scene_open(&s);
	/* Where the machine is busy more of them tell. */
	for (int i = 0; i < 200 && (under_way < 9 || 2 * waited <= under_way); i++)
		unmap_and_lose(&s, &under_way, &waited);
	assert_true(under_way > 0);
	assert_true(2 * waited > under_way);
	scene_close(&s);
}

static bool doubt(void)
{
	bool soon = true;
	struct scene s;

	scene_open(&s);
	for (int unread = 0; unread < 2; unread++) {
		fake_begin(s.log, A, B, WATCH_UNMAP);
		if (!unread)
			assert_true(hmm_interval_stale(s.ni, s.seq));
		fake_add(&s.log->global.word, WATCH_ON);
		soon &= ends_soon(&s, A, B);
		s.seq = atomic_load(&s.ni->seq);
		assert_true(valid(&s));
		fake_end(s.log, A, B, WATCH_UNMAP);
		assert_true(hmm_interval_stale(s.ni, s.seq));
		soon &= ends_soon(&s, A, B);
	}
	scene_close(&s);
	return soon;
}

/* Its thread may have begun the same again: a beginning that was lost, too. */
static void the_end_of_what_is_doubtful_is_a_change(void **state)
{
	(void)state;
	takes_no_second(doubt);
}

static void an_end_is_waited_for_a_second(void **state)
{
	struct scene s;
	uint64_t began;

	(void)state;
	scene_open(&s);
	fake_begin(s.log, A, B, WATCH_CLEAR);
	began = clock_ns();
	assert_int_equal(log_wait(s.mm, A, B, clock_ns() + WAIT_NS), 0);
	assert_true(clock_ns() - began >= LOG_OPEN_NS);
	s.seq = hmm_interval_read_begin(s.ni);
	assert_true(valid(&s));
	fake_end(s.log, A, B, WATCH_CLEAR);
	assert_true(hmm_interval_stale(s.ni, s.seq));
	scene_close(&s);
}

static bool begin_again(void)
{
	struct scene s;
	bool soon;

	scene_open(&s);
	fake_begin(s.log, A, A + PAGE, WATCH_CLEAR);
	fake_begin(s.log, A + PAGE, B, WATCH_CLEAR);
	soon = ends_soon(&s, A, A + PAGE);
	waits(&s, A + PAGE, B, clock_ns());
	/* The end of the other range ends it, and is a change. */
	s.seq = atomic_load(&s.ni->seq);
	fake_end(s.log, A, A + 2 * PAGE, WATCH_CLEAR);
	soon &= ends_soon(&s, A, B);
	assert_true(hmm_interval_stale(s.ni, s.seq));
	scene_close(&s);
	return soon;
}

static void a_thread_that_begins_again_has_ended(void **state)
{
	(void)state;
	takes_no_second(begin_again);
}

/* The pump reads the number when it begins: a race on purpose. */
__attribute__((noinline, no_sanitize("thread"))) static void set_log_fd(struct hmm_mm *mm, int fd)
{
	mm->log->fd.fd = fd;
}

/* What another thread has handled, whose news the pump was to find in the log. */
static void who_empties_the_log_wakes_the_pump(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	set_log_fd(s.mm, 0); /* as if the kernel woke the pump */
	fake_change(s.log, A, B, WATCH_CLEAR);
	assert_true(hmm_interval_stale(s.ni, s.seq));
	while (s.log->producer - s.log->consumer < FAKE_LOG_BYTES / 2)
		fake_change(s.log, B, B + PAGE, WATCH_CLEAR);
	s.seq = hmm_interval_read_begin(s.ni);
	for (int i = 0; i < 20000 && !s.seen.calls; i++)
		sleep_ms(1);
	assert_int_equal(s.seen.calls, 1);
	set_log_fd(s.mm, OWNFD_NONE.fd);
	scene_close(&s);
}

/* There is no record of it by which the kernel would wake the pump. */
static void who_finds_something_lost_wakes_the_pump(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	set_log_fd(s.mm, 0); /* as if the kernel woke the pump */
	fake_add(&s.log->global.word, WATCH_ON);
	assert_true(hmm_interval_stale(s.ni, s.seq));
	for (int i = 0; i < 20000 && !s.seen.calls; i++)
		sleep_ms(1);
	assert_int_equal(s.seen.calls, 1);
	set_log_fd(s.mm, OWNFD_NONE.fd);
	scene_close(&s);
}

static void the_space_ends(struct scene *s)
{
	assert_true(hmm_interval_stale(s->ni, s->seq));
	for (int i = 0; i < 20000 && !s->seen.events[HMM_EVENT_RELEASE]; i++)
		sleep_ms(1);
	assert_int_equal(s->seen.events[HMM_EVENT_RELEASE], 1);
	assert_int_equal(hmm_mm_barrier(s->mm, WAIT_NS), -ESRCH);
	assert_true(info_of(s).lost);
}

static void what_ends_is_never_valid(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	s.log->space.ended = 1;
	fake_add(&s.log->space.trouble, 1);
	the_space_ends(&s);
	scene_close(&s);
	scene_open(&s);
	s.log->global.detached = 1;
	fake_add(&s.log->global.word, WATCH_ON);
	the_space_ends(&s);
	scene_close(&s);
}

/* Nothing that a log says leads out of it. */
static void a_log_without_sense_ends_the_space(void **state)
{
	struct watch_record r = { .start = A, .end = A, .kind = WATCH_UNMAP };
	struct scene s;

	(void)state;
	scene_open(&s);
	atomic_fetch_add(&s.log->producer, 8 * FAKE_LOG_BYTES);
	the_space_ends(&s);
	scene_close(&s);
	scene_open(&s);
	fake_head(s.log, s.log->producer, 1U << 20);
	atomic_fetch_add(&s.log->producer, 40);
	the_space_ends(&s);
	scene_close(&s);
	/* of a change that is not understood everything is believed */
	scene_open(&s);
	fake_commit(s.log, fake_reserve(s.log, &r));
	assert_true(hmm_interval_stale(s.ni, s.seq));
	told(&s);
	assert_int_equal(s.seen.last.end, UINT64_MAX);
	r = fake_record(A, B, WATCH_KIND_NR);
	fake_commit(s.log, fake_reserve(s.log, &r));
	told(&s);
	assert_int_equal(s.seen.events[HMM_EVENT_CLEAR], 1);
	scene_close(&s);
}

/* The queue to the pump is full: what is joined is told together. */
static void a_full_queue_is_joined(void **state)
{
	struct scene s;
	uint64_t upto;

	(void)state;
	scene_open(&s);
	pthread_mutex_lock(&s.mm->notifier_lock); /* no callback runs */
	pthread_mutex_lock(&s.mm->log->lock);     /* and nothing is read */
	for (int i = 0; i < 3 * LOG_QUEUE_MAX; i++)
		fake_change(s.log, A + (uint64_t)(i % 16) * PAGE, A + (uint64_t)(i % 16 + 1) * PAGE,
			    WATCH_CLEAR);
	pthread_mutex_unlock(&s.mm->log->lock);
	assert_true(hmm_interval_stale(s.ni, s.seq));
	upto = atomic_load(&s.mm->log->queued);
	pthread_mutex_unlock(&s.mm->notifier_lock);
	told(&s);
	assert_true(atomic_load(&s.mm->log->delivered) >= upto);
	assert_int_equal((uint64_t)s.seen.calls, atomic_load(&s.mm->log->queued));
	assert_true(s.seen.calls < 3 * LOG_QUEUE_MAX);
	assert_int_equal(s.seen.last.start, A);
	assert_int_equal(s.seen.last.end, B);
	scene_close(&s);
}

static struct {
	_Atomic bool inside, let_go;
} slow;

static int be_slow(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	(void)ni;
	(void)inv;
	(void)priv;
	slow.inside = true;
	while (!slow.let_go)
		sleep_ms(1);
	return 0;
}

static const struct hmm_interval_notifier_ops slow_ops = { sizeof(slow_ops), be_slow, NULL };

/* A callback that takes long keeps no check from its answer. */
static void a_slow_callback_delays_no_check(void **state)
{
	struct scene s;
	struct hmm_interval_notifier *other, *takes_long;
	struct seen seen = { 0 };
	uint64_t seq;

	(void)state;
	scene_open(&s);
	slow.inside = slow.let_go = false;
	assert_int_equal(hmm_interval_notifier_insert(s.mm, A, B - A, &slow_ops, NULL, &takes_long),
			 0);
	assert_int_equal(hmm_interval_notifier_insert(s.mm, B, PAGE, &on_ops, &seen, &other), 0);
	seq = hmm_interval_read_begin(other);
	fake_change(s.log, A, B, WATCH_CLEAR);
	assert_true(hmm_interval_stale(s.ni, s.seq));
	while (!slow.inside)
		sched_yield();
	assert_true(stands(other, seq));
	fake_change(s.log, B, B + PAGE, WATCH_CLEAR);
	assert_true(hmm_interval_stale(other, seq));
	assert_int_equal(seen.calls, 0);
	assert_true(stands(other, hmm_interval_read_begin(other)));
	slow.let_go = true;
	told(&s);
	assert_int_equal(seen.calls, 1);
	hmm_interval_notifier_remove(other);
	hmm_interval_notifier_remove(takes_long);
	scene_close(&s);
}

/* What was read before a notifier was inserted is not told to it. */
static void a_new_notifier_hears_nothing_old(void **state)
{
	struct scene s;
	struct hmm_interval_notifier *young;
	struct seen seen = { 0 };

	(void)state;
	scene_open(&s);
	s.seen.sleep_ms = 100;
	fake_change(s.log, A, B, WATCH_CLEAR);
	assert_true(hmm_interval_stale(s.ni, s.seq));
	while (!s.seen.calls) /* the pump holds the notifiers' lock: further changes wait */
		sched_yield();
	s.seq = hmm_interval_read_begin(s.ni);
	fake_change(s.log, A, B, WATCH_CLEAR);
	assert_true(hmm_interval_stale(s.ni, s.seq));
	/* A use that finds the log's lock busy is refused, and handles nothing. */
	while (atomic_load(&s.mm->log->records) != log_load(&s.log->space.records))
		log_drain(s.mm);
	assert_int_equal(hmm_interval_notifier_insert(s.mm, A, B - A, &on_ops, &seen, &young), 0);
	s.seen.sleep_ms = 0;
	told(&s);
	assert_int_equal(s.seen.calls, 2);
	assert_int_equal(seen.calls, 0);
	hmm_interval_notifier_remove(young);
	scene_close(&s);
}

/* No engine gets in before drivers are told, and a section with a change in it does not count. */
static void sections_count_if_nothing_began(void **state)
{
	struct scene s;
	struct hmm_engine *e;
	bool counted = false;

	(void)state;
	scene_open(&s);
	assert_int_equal(hmm_engine_create(s.mm, &e), 0);
	hmm_engine_enter(e);
	assert_true(hmm_engine_exit(e));
	/* It does not count where the pump has the log's lock and no processor: not for ever. */
	for (int i = 0; i < 20000 && !counted; i++, sleep_ms(!counted)) {
		hmm_engine_enter(e);
		fake_change(s.log, B, B + PAGE, WATCH_UNMAP); /* of nobody */
		counted = hmm_engine_exit(e);
	}
	assert_true(counted);
	hmm_engine_enter(e);
	fake_begin(s.log, A, B, WATCH_UNMAP);
	assert_false(hmm_engine_exit(e));
	fake_end(s.log, A, B, WATCH_UNMAP);
	for (counted = false; !counted;) {
		hmm_engine_enter(e);
		assert_int_equal(s.seen.calls, 1);
		counted = hmm_engine_exit(e);
	}
	hmm_engine_destroy(e);
	scene_close(&s);
}

static void a_child_has_no_log(void **state)
{
	struct scene s;
	int status;
	pid_t pid;

	(void)state;
	scene_open(&s);
	pid = fork();
	if (!pid)
		_exit(hmm_interval_stale(s.ni, s.seq) && hmm_mm_barrier(s.mm, WAIT_NS) == -ESRCH
			      ? 0
			      : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	scene_close(&s);
}

static void count_lines(enum hmm_log_level level, const char *message, void *arg)
{
	(void)level;
	(void)message;
	++*(int *)arg;
}

/* Nothing has gone wrong. There is no userfaultfd that the program could have closed. */
static void detaching_says_nothing(void **state)
{
	struct scene s;
	int lines = 0;

	(void)state;
	assert_int_equal(hmm_log_set(count_lines, &lines), 0);
	scene_open(&s);
	hmm_interval_notifier_remove(s.ni);
	assert_false(info_of(&s).lost);
	hmm_mm_detach(s.mm);
	fake_log_close(s.log);
	assert_int_equal(hmm_log_set(NULL, NULL), 0);
	assert_int_equal(lines, 0);
}

#ifdef HMM_MUTATIONS
static _Atomic int held, kept_out;

/* Another thread may have the lock, not for long. */
static void try_lock(enum hmm_point point, void *arg)
{
	pthread_mutex_t *lock = arg;
	int ms = 0;

	if (point != HMM_POINT_COUNTED)
		return;
	held++;
	for (; ms < 20000 && pthread_mutex_trylock(lock); ms++)
		sleep_ms(1);
	if (ms < 20000)
		pthread_mutex_unlock(lock);
	else
		kept_out++;
}
#endif

/* What holds a point open would keep all others from the log, too. */
static void no_point_is_held_with_the_lock(void **state)
{
#ifdef HMM_MUTATIONS
	struct scene s;

	(void)state;
	scene_open(&s);
	held = kept_out = 0;
	hmm_hook_arg = &s.mm->log->lock;
	hmm_hook_fn = try_lock;
	assert_true(break_rule("early-read"));
	fake_change(s.log, A, B, WATCH_CLEAR);
	for (int ms = 0; !held && ms < 20000; ms++, sleep_ms(1))
		hmm_interval_stale(s.ni, s.seq);
	mend();
	hmm_hook_fn = NULL;
	told(&s);
	assert_true(held > 0);
	assert_int_equal(kept_out, 0);
	scene_close(&s);
#else
	(void)state;
	skip();
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_registered),
		cmocka_unit_test(no_file_is_kept_open),
		cmocka_unit_test(a_beginning_makes_stale_before_the_change),
		cmocka_unit_test(each_change_is_told_once),
		cmocka_unit_test(other_memory_disturbs_nothing),
		cmocka_unit_test(a_sequence_waits_for_the_end),
		cmocka_unit_test(the_end_of_an_outer_change_ends_the_inner),
		cmocka_unit_test(an_end_without_a_beginning_is_a_change),
		cmocka_unit_test(a_record_that_is_being_written_is_not_quiet),
		cmocka_unit_test(a_full_log_invalidates_everything),
		cmocka_unit_test(a_skipped_program_invalidates_everything),
		cmocka_unit_test(an_end_that_is_lost_is_not_waited_for),
		cmocka_unit_test(a_change_without_beginning_is_waited_for),
		cmocka_unit_test(the_end_of_what_is_doubtful_is_a_change),
		cmocka_unit_test(an_end_is_waited_for_a_second),
		cmocka_unit_test(a_thread_that_begins_again_has_ended),
		cmocka_unit_test(who_empties_the_log_wakes_the_pump),
		cmocka_unit_test(who_finds_something_lost_wakes_the_pump),
		cmocka_unit_test(what_ends_is_never_valid),
		cmocka_unit_test(a_log_without_sense_ends_the_space),
		cmocka_unit_test(a_full_queue_is_joined),
		cmocka_unit_test(a_slow_callback_delays_no_check),
		cmocka_unit_test(a_new_notifier_hears_nothing_old),
		cmocka_unit_test(sections_count_if_nothing_began),
		cmocka_unit_test(a_child_has_no_log),
		cmocka_unit_test(detaching_says_nothing),
		cmocka_unit_test(no_point_is_held_with_the_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
