// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A little torture over a log that the test writes: the calls that change memory are made between
 * the record of their beginning and that of their end, as the kernel's programs write them. Users
 * hold a translation, and look at what it should say while they find it valid.
 *
 * The memory is a memfd that is mapped page by page. The translation is the number that the page
 * holds, as a device would have its frame. Each change maps another page of the memfd, so a
 * translation that is found valid after the change has taken effect is stale.
 */
#include "common/mirror.h"
#include "common/fake_log.h"
#include "base/deadline.h"
#include "base/futex.h"
#include "base/hooks.h"

#include <sched.h>

#define SLOTS 8
#define BLOCK 512
#define RUN_NS 1000000000ULL
#define FOUND_NS 10000000000ULL

struct race {
	struct mirror m;
	struct fake_log *log;
	char *at; /* SLOTS pages, one apart */
	int fd;   /* page n holds the number n */
	/*
	 * What is mapped at a slot: written before the end of the change. Where something is lost
	 * it is written after it, when the call returns: by then the change is told.
	 */
	_Atomic uint64_t mapped[SLOTS];
	_Atomic uint64_t next[SLOTS]; /* written before the change, which may have been made */
	_Atomic bool stop;
	_Atomic uint64_t changes, uses, stale, faults;
	bool full;     /* the log is full now and then */
	bool skipping; /* programs are skipped now and then */
	bool calm;     /* changes are few, and take long */
};

static char *slot(const struct race *r, unsigned int i)
{
	return r->at + 2 * PAGE * i;
}

static void map_slot(struct race *r, unsigned int i, uint64_t number)
{
	assert_ptr_not_equal(mmap(slot(r, i), PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, r->fd,
				  (off_t)(number * PAGE)),
			     MAP_FAILED);
}

static void pause_a_little(unsigned int *seed)
{
	for (int n = rand_r(seed) % 2048; n; n--)
		cpu_relax();
	if (!(rand_r(seed) % 16))
		sched_yield();
}

/* A program that is skipped: the beginning is not told, and another thread is out meanwhile. */
static bool begin(struct race *r, uint64_t start, unsigned int *seed)
{
	const bool skipped = r->skipping && rand_r(seed) % 4 == 0;

	if (skipped)
		fake_add(&r->log->global.word, 1);
	else
		fake_begin(r->log, start, start + PAGE, WATCH_UNMAP);
	return !skipped;
}

static void end(struct race *r, uint64_t start, bool told)
{
	if (told)
		fake_end(r->log, start, start + PAGE, WATCH_UNMAP);
	else
		fake_add(&r->log->global.word, WATCH_ON - 1);
}

/* Fills the log before a change, so that its beginning does not fit. */
static void fill(struct race *r)
{
	struct watch_record other = fake_record(PAGE, 2 * PAGE, WATCH_CLEAR);

	other.flags = WATCH_END;
	pthread_mutex_lock(&r->m.mm->log->lock);
	for (uint64_t at = 0; at != UINT64_MAX;) {
		at = fake_reserve(r->log, &other);
		fake_commit(r->log, at);
	}
}

/* Until somebody has read them. */
static void unlock_and_wait(struct race *r)
{
	pthread_mutex_unlock(&r->m.mm->log->lock);
	for (int n = 0; n < 1000 && r->log->consumer != r->log->producer; n++)
		sched_yield();
}

/*
 * Nothing is to be lost by itself: on a busy machine readers may not run while the log fills, and
 * a change that is told by its end looks stale.
 */
static void wait_for_room(struct race *r)
{
	while (!r->stop && r->log->producer - r->log->consumer > FAKE_LOG_BYTES / 2) {
		pump_kick(r->m.mm);
		sched_yield();
	}
}

static void *change(void *arg)
{
	struct race *r = arg;
	unsigned int seed = 1;

	while (!r->stop) {
		const unsigned int i = rand_r(&seed) % SLOTS;
		const uint64_t start = at(slot(r, i));
		const uint64_t number = 1 + rand_r(&seed) % (BLOCK - 1);
		/* Neither the beginning nor the end fits, although all before them is handled. */
		const bool lagging = r->full && rand_r(&seed) % 8 == 0;
		const bool full = r->full && !lagging && rand_r(&seed) % 8 == 0;
		const bool no_end = full && rand_r(&seed) % 2;
		const bool losing = r->full || r->skipping;
		bool told;

		atomic_store(&r->next[i], losing ? number : 0);
		if (!losing)
			wait_for_room(r);
		if (full)
			fill(r);
		atomic_store(&r->log->refuses, lagging);
		told = begin(r, start, &seed);
		if (full && !no_end)
			unlock_and_wait(r);
		pause_a_little(&seed);
		map_slot(r, i, number);
		if (!losing)
			atomic_store(&r->mapped[i], number);
		pause_a_little(&seed);
		if (r->calm)
			usleep(200);
		end(r, start, told);
		atomic_store(&r->log->refuses, false);
		if (losing)
			atomic_store(&r->mapped[i], number);
		if (no_end)
			unlock_and_wait(r);
		r->changes++;
		pump_kick(r->m.mm);
		pause_a_little(&seed);
		if (r->calm)
			usleep(3000);
	}
	return NULL;
}

/* Another thread maps meanwhile, which a sanitizer takes for a store. */
__attribute__((no_sanitize("thread"))) static uint64_t load(const char *at)
{
	return *(const volatile uint64_t *)at;
}

/* What a device holds is what was mapped when it faulted. */
static uint64_t translate(struct race *r, struct hmm_range *range, unsigned int i)
{
	uint64_t pfn;
	uint64_t number;

	*range = (struct hmm_range){ .size = sizeof(*range),
				     .notifier = r->m.ni,
				     .start = at(slot(r, i)),
				     .end = at(slot(r, i)) + PAGE,
				     .hmm_pfns = &pfn,
				     .default_flags = REQ_READ };
	if (hmm_range_fault(range, 10000000) || !(pfn & VALID))
		return 0;
	number = load(slot(r, i));
	r->faults++;
	return hmm_range_check(range, 0) ? 0 : number;
}

static void *use(void *arg)
{
	struct race *r = arg;
	unsigned int seed = (unsigned int)syscall(SYS_gettid);

	while (!r->stop) {
		const unsigned int i = rand_r(&seed) % SLOTS;
		struct hmm_range range;
		const uint64_t held = translate(r, &range, i);

		while (held && !r->stop) {
			/* Before the check: what was mapped by then must be what is held. */
			const uint64_t next = atomic_load(&r->next[i]);
			const uint64_t now = atomic_load(&r->mapped[i]);

			if (hmm_range_check(&range, 0))
				break;
			r->uses++;
			if (now != held && next != held)
				r->stale++;
		}
	}
	return NULL;
}

#ifdef HMM_MUTATIONS
/* Holds the window open in which records count as handled, and are not. */
static void hold(enum hmm_point point, void *arg)
{
	(void)arg;
	if (point == HMM_POINT_COUNTED && syscall(SYS_gettid) % 2)
		usleep(500);
}
#endif

static void race_open(struct race *r, enum hmm_provider provider)
{
	struct hmm_mm_options o;

	memset(r, 0, sizeof(*r));
	r->log = fake_log_open();
	fake_options(&o, provider);
	assert_int_equal(hmm_mm_attach(&o, &r->m.mm), 0);
	r->fd = make_memfd(BLOCK * PAGE, 0);
	assert_true(r->fd >= 0);
	for (uint64_t n = 0; n < BLOCK; n++)
		assert_int_equal(pwrite(r->fd, &n, sizeof(n), (off_t)(n * PAGE)), sizeof(n));
	r->at = map_anon(2 * SLOTS * PAGE, PROT_NONE);
	assert_int_equal(hmm_interval_notifier_insert(r->m.mm, at(r->at), 2 * SLOTS * PAGE,
						      &mirror_ops, &r->m, &r->m.ni),
			 0);
	for (unsigned int i = 0; i < SLOTS; i++) {
		map_slot(r, i, i + 1);
		r->mapped[i] = i + 1;
	}
}

static void race_close(struct race *r)
{
	hmm_interval_notifier_remove(r->m.ni);
	hmm_mm_detach(r->m.mm);
	fake_log_close(r->log);
	munmap(r->at, 2 * SLOTS * PAGE);
	close(r->fd);
}

static bool proves_little(const struct race *r)
{
	return r->changes <= 100 || r->uses <= 100;
}

/* Until something is stale or the time is over; on a busy machine, a while longer. */
static void race_run(struct race *r, uint64_t ns)
{
	const uint64_t until = clock_ns() + ns;
	pthread_t t[3];

	assert_int_equal(pthread_create(&t[0], NULL, change, r), 0);
	assert_int_equal(pthread_create(&t[1], NULL, use, r), 0);
	assert_int_equal(pthread_create(&t[2], NULL, use, r), 0);
	while ((clock_ns() < until || (proves_little(r) && clock_ns() < until + 2 * FOUND_NS)) &&
	       !r->stale)
		usleep(10000);
	r->stop = true;
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}

static void sound(struct race *r)
{
	race_run(r, RUN_NS);
	print_message("%lu changes, %lu faults, %lu uses, %lu stale\n", r->changes, r->faults,
		      r->uses, r->stale);
	assert_int_equal(r->stale, 0);
	assert_false(proves_little(r));
}

static void nothing_is_stale(void **state)
{
	struct race r;

	(void)state;
	race_open(&r, HMM_PROVIDER_BPF);
	sound(&r);
	race_close(&r);
}

static void nothing_is_stale_with_userfaultfd(void **state)
{
	struct race r;

	(void)state;
	race_open(&r, HMM_PROVIDER_BOTH);
	sound(&r);
	race_close(&r);
}

static void nothing_is_stale_when_records_are_lost(void **state)
{
	struct race r;
	struct hmm_mm_info info = { .size = sizeof(info) };

	(void)state;
	race_open(&r, HMM_PROVIDER_BPF);
	r.full = true;
	sound(&r);
	assert_int_equal(hmm_mm_get_info(r.m.mm, &info), 0);
	assert_true(info.log_resets > 0);
	race_close(&r);
}

static void nothing_is_stale_when_programs_are_skipped(void **state)
{
	struct race r;
	struct hmm_mm_info info = { .size = sizeof(info) };

	(void)state;
	race_open(&r, HMM_PROVIDER_BPF);
	r.skipping = true;
	sound(&r);
	assert_int_equal(hmm_mm_get_info(r.m.mm, &info), 0);
	assert_true(info.log_resets > 0);
	race_close(&r);
}

/* Each rule is broken, and the race finds it. */
static void what_breaks_a_rule_is_found(void **state)
{
#ifdef HMM_MUTATIONS
	static const char *const names[] = { "no-start", "no-end", "lost-record", "early-read",
					     "trust-word" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct race r;

		race_open(&r, HMM_PROVIDER_BPF);
		r.calm = !strcmp(names[i], "early-read");
		r.full = !strcmp(names[i], "lost-record");
		r.skipping = !strcmp(names[i], "trust-word");
		hmm_hook_fn = strcmp(names[i], "early-read") ? NULL : hold;
		assert_int_equal(hmm_mutation_set(names[i]), 0);
		/* It ends with the first find. */
		race_run(&r, 3 * FOUND_NS);
		hmm_mutation_set(NULL);
		print_message("%s: %lu changes, %lu uses, %lu stale\n", names[i], r.changes, r.uses,
			      r.stale);
		assert_true(r.stale > 0);
		race_close(&r);
	}
	hmm_hook_fn = NULL;
#else
	skip();
#endif
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_stale),
		cmocka_unit_test(nothing_is_stale_with_userfaultfd),
		cmocka_unit_test(nothing_is_stale_when_records_are_lost),
		cmocka_unit_test(nothing_is_stale_when_programs_are_skipped),
		cmocka_unit_test(what_breaks_a_rule_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
