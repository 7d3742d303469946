/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* A device without faults: memory is named, populated at submit and after an invalidation. */
#include "soft.h"

static int submit_named(struct mirror *m, struct span *s, struct hmm_job_range *r)
{
	struct hmm_job job = { .size = sizeof(job),
			       .kernel = kernel_load,
			       .arg = s,
			       .items = 1,
			       .ranges = r,
			       .nranges = 1 };

	return hmm_svm_run(m->svm, &job);
}

static void without_faults_named_memory_is_populated_at_submit(void **state)
{
	struct mirror *m = *state;
	char *p = pattern(M2);
	struct span s = { .va = at(p), .len = K64, .buf = malloc(K64) };
	struct hmm_job_range r = { at(p), at(p) + K64, PROT_READ, 0 };

	reopen(m, "soft:faults=none", 1, NULL);
	assert_int_equal(submit_named(m, &s, &r), 0);
	assert_memory_equal(s.buf, p, K64);
	assert_int_equal(device_stats(m).device_faults, 0);
	assert_int_equal(svm_stats(m).restores, 1);
	r.end = at(p) + M2;
	assert_int_equal(submit_named(m, &s, &r), 0);
	free(s.buf);
	munmap(p, M2);
}

static void without_faults_other_memory_is_an_error(void **state)
{
	struct mirror *m = *state;
	char *p = pattern(2 * M2);
	struct span s = { .va = at(p) + M2, .len = 8, .buf = malloc(8) };
	struct hmm_job_range r = { at(p), at(p) + PAGE, PROT_READ, 0 };

	reopen(m, "soft:faults=none", 1, NULL);
	assert_int_equal(submit_named(m, &s, &r), -EFAULT);
	r.start = 4096;
	r.end = 8192;
	assert_int_equal(submit_named(m, &s, &r), -EFAULT);
	assert_int_equal(device_stats(m).jobs, 1);
	free(s.buf);
	munmap(p, 2 * M2);
}

static void without_faults_vanished_memory_is_an_error(void **state)
{
	struct mirror *m = *state;
	struct vanish v = { .p = pattern(M2) };
	struct hmm_job_range range = { at(v.p), at(v.p) + M2, PROT_READ, 0 };
	struct hmm_job job = { .size = sizeof(job),
			       .kernel = kernel_vanish,
			       .arg = &v,
			       .items = 1,
			       .ranges = &range,
			       .nranges = 1 };

	reopen(m, "soft:faults=none", 1, NULL);
	assert_int_equal(hmm_svm_run(m->svm, &job), -EFAULT);
	assert_true(device_stats(m).guard_hits >= 1);
	assert_int_equal(device_stats(m).restarts, device_stats(m).guard_hits);
	munmap(v.p, M2);
}

struct relay {
	struct span s;
	_Atomic int step;
};

static int kernel_relay(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct relay *r = arg;
	int rc = hmm_load(ctx, r->s.buf, r->s.va, 8);

	if (!rc && item == 0) {
		r->step = 1;
		while (r->step == 1 && !rc)
			rc = hmm_load(ctx, r->s.buf, r->s.va, 8);
	}
	return rc;
}

static void without_faults_an_invalidation_populates_again(void **state)
{
	struct mirror *m = *state;
	char *p = pattern(M2);
	struct relay r = { .s = { .va = at(p), .buf = malloc(8) } };
	struct hmm_job_range range = { at(p), at(p) + PAGE, PROT_READ, 0 };
	struct hmm_job job = { .size = sizeof(job),
			       .kernel = kernel_relay,
			       .arg = &r,
			       .items = 2,
			       .ranges = &range,
			       .nranges = 1 };

	reopen(m, "soft:faults=none", 1, NULL);
	assert_int_equal(hmm_svm_submit(m->svm, &job), 0);
	while (r.step != 1)
		sched_yield();
	/* The same address is other memory now, at once. */
	p = mmap(p, M2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memset(p, 5, PAGE);
	barrier(m);
	r.step = 2;
	assert_int_equal(hmm_svm_wait(m->svm, &job, 0), 0);
	assert_int_equal(job.status, 0);
	assert_memory_equal(r.s.buf, p, 8);
	assert_true(svm_stats(m).restores >= 2);
	free(r.s.buf);
	munmap(p, M2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(without_faults_named_memory_is_populated_at_submit),
		T(without_faults_other_memory_is_an_error),
		T(without_faults_vanished_memory_is_an_error),
		T(without_faults_an_invalidation_populates_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
