// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What a driver or a caller hands in: too many, flags that are not its own, odd addresses. */
#include <limits.h>
#include <signal.h>
#include "common/soft.h"

#define RW (PROT_READ | PROT_WRITE)

/* A driver that answers as it is told. */
struct liar {
	struct hmm_device_fault fault; /* the only one, again and again ... */
	int says;                      /* ... and so many of them, the first time */
	unsigned int fetched;
	unsigned int answered;
	uint32_t flags; /* as they were answered */
	int error;
	uint64_t start; /* of the last invalidation */
	uint64_t end;
	unsigned int invalidations;
};

static int liar_map(struct hmm_device *dev, const struct hmm_device_map *map)
{
	return 0;
}

static void liar_invalidate(struct hmm_device *dev, uint64_t start, uint64_t end,
			    enum hmm_event event)
{
	struct liar *l = hmm_device_priv(dev);

	l->start = start;
	l->end = end;
	l->invalidations++;
}

static int liar_fetch(struct hmm_device *dev, struct hmm_device_fault *faults, unsigned int n,
		      uint64_t timeout_ns)
{
	struct liar *l = hmm_device_priv(dev);

	for (unsigned int i = 0; i < n; i++)
		faults[i] = l->fault;
	return l->fetched++ ? 0 : l->says;
}

static int liar_done(struct hmm_device *dev, const struct hmm_device_fault *fault, int error)
{
	struct liar *l = hmm_device_priv(dev);

	l->answered++;
	l->flags = fault->flags;
	l->error = error;
	return 0;
}

static struct hmm_device_ops liar_ops(void)
{
	return (struct hmm_device_ops){
		.size = sizeof(struct hmm_device_ops),
		.abi = HMM_DEVICE_ABI,
		.name = "liar",
		.map = liar_map,
		.invalidate = liar_invalidate,
		.fetch_faults = liar_fetch,
		.fault_done = liar_done,
	};
}

static void liar_open(struct mirror *m, struct liar *l)
{
	struct hmm_device_ops ops = liar_ops();

	mirror_close(m);
	assert_int_equal(hmm_mm_attach(NULL, &m->mm), 0);
	assert_int_equal(hmm_device_create(m->mm, &ops, l, NULL, &m->dev), 0);
	assert_int_equal(hmm_svm_create(m->mm, m->dev, NULL, &m->svm), 0);
}

/* Before the liar goes. */
static void liar_close(struct mirror *m)
{
	reopen(m, "soft", 2, NULL);
}

static void more_faults_than_were_asked_for_are_not_answered(void **state)
{
	static const int many[] = { 65, 1000000, INT_MAX };
	struct mirror *m = *state;

	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
		struct liar l = { .fault = { .addr = PAGE, .len = 1, .prot = PROT_READ },
				  .says = many[i] };

		liar_open(m, &l);
		assert_int_equal(hmm_device_serve_faults(m->dev), 0);
		assert_int_equal(l.answered, 64);
		assert_int_equal(svm_stats(m).faults, 64);
		liar_close(m);
	}
}

static void fault_that_no_device_can_have_is_cancelled(void **state)
{
	static const struct {
		struct hmm_device_fault fault;
		int error;
	} bad[] = {
		{ { .addr = PAGE, .len = 0, .prot = PROT_READ }, -EFAULT },
		{ { .addr = UINT64_MAX - 10, .len = 100, .prot = PROT_READ }, -EFAULT },
		{ { .addr = 0, .len = UINT64_MAX, .prot = PROT_READ }, -EFAULT },
		{ { .addr = PAGE, .len = 1, .prot = 0 }, -EINVAL },
		{ { .addr = PAGE, .len = 1, .prot = PROT_WRITE }, -EINVAL },
		{ { .addr = PAGE, .len = 1, .prot = PROT_READ | PROT_EXEC }, -EINVAL },
		{ { .addr = PAGE, .len = 1, .prot = UINT32_MAX }, -EINVAL },
	};
	struct mirror *m = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct liar l = { .fault = bad[i].fault, .says = 1 };

		liar_open(m, &l);
		assert_int_equal(hmm_device_serve_faults(m->dev), 0);
		assert_int_equal(l.answered, 1);
		assert_int_equal(l.error, bad[i].error);
		liar_close(m);
	}
}

static void driver_cannot_claim_a_single_use_for_itself(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(PAGE, RW);
	struct liar l = {
		.fault = { .addr = at(p), .len = 1, .prot = PROT_READ, .flags = HMM_FAULT_ONCE },
		.says = 1
	};

	liar_open(m, &l);
	assert_int_equal(hmm_device_serve_faults(m->dev), 0);
	assert_int_equal(l.error, 0);
	assert_int_equal(l.flags & HMM_FAULT_ONCE, 0);
	liar_close(m);
	munmap(p, PAGE);
}

static void models_that_are_unknown_are_refused(void **state)
{
	struct mirror *m = *state;
	struct hmm_device_ops ops = liar_ops();
	struct hmm_device *dev;

	ops.thread_model = HMM_THREADS_PARALLEL + 1;
	assert_int_equal(hmm_device_create(m->mm, &ops, NULL, NULL, &dev), -EINVAL);
	ops.thread_model = HMM_THREADS_SERIAL;
	ops.fault_model = HMM_FAULTS_NONE + 1;
	assert_int_equal(hmm_device_create(m->mm, &ops, NULL, NULL, &dev), -EINVAL);
}

static void drop_of_a_few_bytes_is_one_of_pages(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, RW);
	struct liar l = { .says = 0 };

	liar_open(m, &l);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), M2, PROT_READ), 0);
	l.invalidations = 0;
	assert_int_equal(hmm_svm_drop(m->svm, at(p) + PAGE + 5, at(p) + PAGE + 7), 0);
	assert_int_equal(l.invalidations, 1);
	assert_int_equal(l.start, at(p) + PAGE);
	assert_int_equal(l.end, at(p) + 2 * PAGE);
	assert_int_equal(hmm_svm_drop(m->svm, 1, UINT64_MAX - 1), 0);
	assert_int_equal(l.start, 0);
	assert_int_equal(l.end, UINT64_MAX);
	liar_close(m);
	munmap(p, M2);
}

static void addresses_that_no_program_has_are_faults_and_no_more(void **state)
{
	static const uint64_t addrs[] = {
		0,          1ULL << 47,         1ULL << 56,           1ULL << 57,
		1ULL << 63, 0xffffffffff600000, UINT64_MAX - 2 * PAGE
	};
	struct mirror *m = *state;

	for (size_t i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++) {
		assert_true(hmm_svm_fault(m->svm, addrs[i], PAGE, PROT_READ) < 0);
		assert_int_equal(hmm_svm_drop(m->svm, addrs[i], addrs[i] + PAGE), 0);
	}
	assert_int_equal(hmm_svm_fault(m->svm, PAGE, UINT64_MAX, PROT_READ), -EINVAL);
	assert_int_equal(hmm_svm_fault(m->svm, 0, UINT64_MAX, PROT_READ), -EFAULT);
	assert_true(hmm_svm_prefetch(m->svm, UINT64_MAX - PAGE, UINT64_MAX, PROT_READ) <= 0);
	assert_int_equal(svm_stats(m).mapped_bytes, 0);
}

static void map_that_the_table_refuses_reads_no_entries(void **state)
{
	struct mirror *m = *state;
	struct hmm_device_map map = { .start = 0, .shift = 12, .n = 1ULL << 60, .pfns = NULL };

	assert_int_equal(hmm_device_get_ops(m->dev)->map(m->dev, &map), -EINVAL);
	map = (struct hmm_device_map){ .start = 0, .shift = 13, .n = 1 };
	assert_int_equal(hmm_device_get_ops(m->dev)->map(m->dev, &map), -EINVAL);
}

static void answer_to_an_engine_that_asked_nothing_is_refused(void **state)
{
	struct mirror *m = *state;
	struct hmm_device_fault f = { .cookie = UINT64_MAX };

	assert_int_equal(hmm_device_get_ops(m->dev)->fault_done(m->dev, &f, 0), -EINVAL);
	f.cookie = 2;
	assert_int_equal(hmm_device_get_ops(m->dev)->fault_done(m->dev, &f, 0), -EINVAL);
	f.cookie = 0;
	assert_int_equal(hmm_device_get_ops(m->dev)->fault_done(m->dev, &f, 0), -EINVAL);
}

static void ranges_of_a_job_are_checked(void **state)
{
	struct mirror *m = *state;
	struct hmm_job_range range = { PAGE, 2 * PAGE, PROT_READ, 0 };
	struct hmm_job job = { .size = sizeof(job),
			       .kernel = kernel_touch,
			       .items = 1,
			       .ranges = &range,
			       .nranges = 1 };

	range.prot = PROT_READ | PROT_EXEC;
	assert_int_equal(hmm_svm_submit(m->svm, &job), -EINVAL);
	range = (struct hmm_job_range){ 2 * PAGE, PAGE, PROT_READ, 0 };
	assert_int_equal(hmm_svm_submit(m->svm, &job), -EINVAL);
	job.ranges = NULL;
	assert_int_equal(hmm_svm_submit(m->svm, &job), -EINVAL);
}

/* ---- waits ----------------------------------------------------------------------------------- */

static void nothing_happens(int sig)
{
}

static int kernel_slow(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	usleep(300000);
	return 0;
}

struct knock {
	pthread_t at;
	_Atomic bool stop;
};

static void *knocking(void *arg)
{
	struct knock *k = arg;

	while (!k->stop) {
		pthread_kill(k->at, SIGUSR1);
		usleep(2000);
	}
	return NULL;
}

static void wait_with_a_limit_is_not_cut_by_signals(void **state)
{
	struct mirror *m = *state;
	struct sigaction sa = { .sa_handler = nothing_happens };
	struct hmm_job job = { .size = sizeof(job), .kernel = kernel_slow, .items = 1 };
	struct knock k = { .at = pthread_self() };
	pthread_t t;

	sigaction(SIGUSR1, &sa, NULL);
	assert_int_equal(hmm_svm_submit(m->svm, &job), 0);
	pthread_create(&t, NULL, knocking, &k);
	assert_int_equal(hmm_svm_wait(m->svm, &job, 60000000000ULL), 0);
	k.stop = true;
	pthread_join(t, NULL);
	signal(SIGUSR1, SIG_DFL);
}

static void longest_limits_are_for_ever(void **state)
{
	static const uint64_t longest[] = { UINT64_MAX, UINT64_MAX - 1, INT64_MAX };
	struct mirror *m = *state;
	char *p = map_aligned(M2, RW);

	for (size_t i = 0; i < sizeof(longest) / sizeof(longest[0]); i++) {
		struct hmm_job job = { .size = sizeof(job), .kernel = kernel_slow, .items = 1 };
		struct hmm_svm_options options = HMM_SVM_OPTIONS_INIT;

		options.fault_timeout_ns = longest[i];
		reopen(m, "soft", 1, &options);
		assert_int_equal(hmm_svm_fault(m->svm, at(p), M2, RW), 0);
		assert_int_equal(hmm_svm_submit(m->svm, &job), 0);
		assert_int_equal(hmm_svm_wait(m->svm, &job, longest[i]), 0);
	}
	munmap(p, M2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(more_faults_than_were_asked_for_are_not_answered),
		T(fault_that_no_device_can_have_is_cancelled),
		T(driver_cannot_claim_a_single_use_for_itself),
		T(models_that_are_unknown_are_refused),
		T(drop_of_a_few_bytes_is_one_of_pages),
		T(addresses_that_no_program_has_are_faults_and_no_more),
		T(map_that_the_table_refuses_reads_no_entries),
		T(answer_to_an_engine_that_asked_nothing_is_refused),
		T(ranges_of_a_job_are_checked),
		T(wait_with_a_limit_is_not_cut_by_signals),
		T(longest_limits_are_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
