// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Events that a driver ignores: it is not called, what it holds stays, what it is making begins
 * again.
 */
#include "common/svm.h"
#include "common/stands.h"

#define RW (PROT_READ | PROT_WRITE)
#define FORKS HMM_EVENT_BIT(HMM_EVENT_FORK)

struct watched {
	unsigned int calls[HMM_EVENT_NR];
	struct hmm_interval_notifier *ni;
};

static int on_invalidate(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
			 void *priv)
{
	struct watched *w = priv;

	w->calls[inv->event]++;
	return 0;
}

static int insert(struct hmm_mm *mm, const char *p, uint32_t ignored, struct watched *w)
{
	const struct hmm_interval_notifier_ops ops = { .size = sizeof(ops),
						       .invalidate = on_invalidate,
						       .ignored_events = ignored };

	return hmm_interval_notifier_insert(mm, at(p), PAGE, &ops, w, &w->ni);
}

/* Faults it for writing, and commits: the sequence. */
static uint64_t make(struct hmm_mm *mm, struct watched *w, const char *p)
{
	uint64_t pfn = 0;
	struct hmm_range r = { .size = sizeof(r),
			       .notifier = w->ni,
			       .start = at(p),
			       .end = at(p) + PAGE,
			       .hmm_pfns = &pfn,
			       .default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE };
	bool retry = true;

	while (retry) {
		assert_int_equal(hmm_range_fault(&r, HMM_FOREVER), 0);
		hmm_mm_commit_begin(mm);
		retry = hmm_interval_read_retry(w->ni, r.notifier_seq);
		hmm_mm_commit_end(mm);
	}
	return r.notifier_seq;
}

static void fork_once(struct hmm_mm *mm)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* With the privilege its event comes, too. */
	assert_int_equal(hmm_mm_barrier(mm, HMM_FOREVER), 0);
}

static uint64_t ignored(struct hmm_mm *mm)
{
	struct hmm_mm_stats s = { .size = sizeof(s) };

	assert_int_equal(hmm_mm_get_stats(mm, &s), 0);
	return s.ignored;
}

static void a_fork_concerns_those_who_do_not_ignore_it(void **state)
{
	char *p = map_aligned(PAGE, RW);
	struct watched deaf = { 0 };
	struct watched told = { 0 };
	struct hmm_mm *mm;
	uint64_t deaf_seq;
	uint64_t told_seq;

	/* So that the page is the parent's alone after the fork, as the deaf driver promises. */
	assert_int_equal(madvise(p, PAGE, MADV_DONTFORK), 0);
	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	assert_int_equal(insert(mm, p, FORKS, &deaf), 0);
	assert_int_equal(insert(mm, p, 0, &told), 0);
	deaf_seq = make(mm, &deaf, p);
	told_seq = make(mm, &told, p);
	deaf_seq = make(mm, &deaf, p);
	assert_false(hmm_interval_stale(deaf.ni, deaf_seq));
	assert_false(hmm_interval_stale(told.ni, told_seq));
	assert_int_equal(ignored(mm), 0);

	fork_once(mm);
	assert_int_equal(deaf.calls[HMM_EVENT_FORK], 0);
	assert_true(told.calls[HMM_EVENT_FORK] > 0);
	assert_true(ignored(mm) > 0);
	/* What is held stays; what is being made begins again, for both. */
	assert_true(stands(deaf.ni, deaf_seq));
	assert_true(hmm_interval_stale(told.ni, told_seq));
	assert_true(hmm_interval_read_retry(deaf.ni, deaf_seq));
	assert_true(hmm_interval_check_retry(deaf.ni, deaf_seq));
	assert_true(hmm_interval_read_retry(told.ni, told_seq));

	/* Neither a sequence from before it was inserted nor one that is to come stands. */
	assert_true(hmm_interval_stale(deaf.ni, 0));
	assert_true(hmm_interval_stale(deaf.ni, hmm_interval_read_begin(deaf.ni) + 1));

	hmm_interval_notifier_remove(deaf.ni);
	hmm_interval_notifier_remove(told.ni);
	hmm_mm_detach(mm);
	munmap(p, PAGE);
}

static void every_other_event_is_told(void **state)
{
	char *p = map_aligned(PAGE, RW);
	struct watched deaf = { 0 };
	struct hmm_range r;
	struct hmm_mm *mm;
	uint64_t seq;

	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	assert_int_equal(insert(mm, p, FORKS, &deaf), 0);
	seq = make(mm, &deaf, p);
	r = (struct hmm_range){ .size = sizeof(r),
				.notifier = deaf.ni,
				.notifier_seq = seq,
				.start = at(p),
				.end = at(p) + PAGE };
	fork_once(mm);
	assert_int_equal(hmm_range_check_timeout(&r, 0, 30000000000ULL), 0);
	munmap(p, PAGE);
	assert_int_equal(hmm_mm_barrier(mm, HMM_FOREVER), 0);
	assert_int_equal(deaf.calls[HMM_EVENT_UNMAP], 1);
	assert_true(hmm_interval_stale(deaf.ni, seq));
	assert_int_equal(hmm_range_check(&r, 0), -ESTALE);
	hmm_mm_detach(mm);
	assert_int_equal(deaf.calls[HMM_EVENT_RELEASE], 1);
	hmm_interval_notifier_remove(deaf.ni);
}

static void only_a_fork_can_be_ignored(void **state)
{
	const struct hmm_device_ops ops = { .size = sizeof(ops),
					    .abi = HMM_DEVICE_ABI,
					    .name = "deaf",
					    .ignored_events = HMM_EVENT_BIT(HMM_EVENT_UNMAP) };
	char *p = map_aligned(PAGE, RW);
	struct watched w = { 0 };
	struct hmm_device *dev;
	struct hmm_mm *mm;

	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	for (int event = 0; event < 32; event++)
		if (event != HMM_EVENT_FORK)
			assert_int_equal(insert(mm, p, FORKS | HMM_EVENT_BIT(event), &w), -EINVAL);
	assert_int_equal(hmm_device_create(mm, &ops, NULL, NULL, &dev), -EINVAL);
	hmm_mm_detach(mm);
	munmap(p, PAGE);
}

/* ---- a device -------------------------------------------------------------------------------- */

static _Atomic unsigned int forks_told;

static int map(struct hmm_device *dev, const struct hmm_device_map *m)
{
	return hmm_ptable_set(hmm_device_priv(dev), m->start, m->shift, m->pfns, m->n);
}

static void invalidate(struct hmm_device *dev, uint64_t start, uint64_t end, enum hmm_event event)
{
	if (event == HMM_EVENT_FORK)
		forks_told++;
	hmm_ptable_clear(hmm_device_priv(dev), start, end);
}

/* How many of its 16 entries it has left after a fork, and after the munmap(). */
static void fork_beside_a_device(uint32_t ignored_events, bool stacked, unsigned int *forked,
				 unsigned int *unmapped)
{
	const struct hmm_device_ops ops = { .size = sizeof(ops),
					    .abi = HMM_DEVICE_ABI,
					    .name = "pins",
					    .map = map,
					    .invalidate = invalidate,
					    .ignored_events = ignored_events };
	const struct hmm_device_ops around = { .size = sizeof(around),
					       .abi = HMM_DEVICE_ABI,
					       .name = "around" };
	char *p = map_aligned(16 * PAGE, RW);
	struct hmm_ptable *table;
	struct hmm_device *dev;
	struct hmm_svm *svm;
	struct hmm_mm *mm;

	madvise(p, 16 * PAGE, MADV_DONTFORK);
	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	assert_int_equal(hmm_ptable_create(NULL, &table), 0);
	assert_int_equal(hmm_device_create(mm, &ops, table, NULL, &dev), 0);
	if (stacked)
		assert_int_equal(hmm_device_create(mm, &around, NULL, dev, &dev), 0);
	assert_int_equal(hmm_svm_create(mm, dev, NULL, &svm), 0);
	assert_int_equal(hmm_svm_fault(svm, at(p), 16 * PAGE, RW), 0);
	forks_told = 0;
	fork_once(mm);
	*forked = *unmapped = 0;
	for (int i = 0; i < 16; i++)
		*forked += hmm_ptable_lookup(table, at(p) + (uint64_t)i * PAGE, NULL) != 0;
	munmap(p, 16 * PAGE);
	assert_int_equal(hmm_mm_barrier(mm, HMM_FOREVER), 0);
	for (int i = 0; i < 16; i++)
		*unmapped += hmm_ptable_lookup(table, at(p) + (uint64_t)i * PAGE, NULL) != 0;
	hmm_svm_destroy(svm);
	hmm_device_destroy(dev);
	hmm_ptable_destroy(table);
	hmm_mm_detach(mm);
}

static void a_device_that_pins_keeps_what_it_holds(void **state)
{
	unsigned int forked;
	unsigned int unmapped;

	fork_beside_a_device(0, false, &forked, &unmapped);
	assert_int_equal(forked, 0);
	assert_true(forks_told > 0);
	for (int stacked = 0; stacked < 2; stacked++) {
		fork_beside_a_device(FORKS, stacked, &forked, &unmapped);
		assert_int_equal(forked, 16);
		assert_int_equal(forks_told, 0);
		assert_int_equal(unmapped, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fork_concerns_those_who_do_not_ignore_it),
		cmocka_unit_test(every_other_event_is_told),
		cmocka_unit_test(only_a_fork_can_be_ignored),
		cmocka_unit_test(a_device_that_pins_keeps_what_it_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
