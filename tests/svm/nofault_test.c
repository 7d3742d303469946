// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A device without faults: memory is named, populated at submit and after an invalidation. */
#include "common/soft.h"
#include "common/held_discard.h"

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
	int ret = hmm_load(ctx, r->s.buf, r->s.va, 8);

	if (!ret && item == 0) {
		r->step = 1;
		while (r->step == 1 && !ret)
			ret = hmm_load(ctx, r->s.buf, r->s.va, 8);
	}
	return ret;
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
	assert_int_equal(hmm_svm_wait(m->svm, &job, HMM_FOREVER), 0);
	assert_int_equal(job.status, 0);
	assert_memory_equal(r.s.buf, p, 8);
	assert_true(svm_stats(m).restores >= 2);
	free(r.s.buf);
	munmap(p, M2);
}

/* A job that loads from [p, p + 64 KiB) and names it. */
static int load_from(struct mirror *m, const char *p)
{
	struct span s = { .va = at(p), .len = K64, .buf = malloc(K64) };
	struct hmm_job_range r = { at(p), at(p) + K64, PROT_READ, 0 };
	int ret = submit_named(m, &s, &r);

	if (!ret)
		assert_memory_equal(s.buf, p, K64);
	free(s.buf);
	return ret;
}

/* 100 ms may be too short where several programs share a processor. */
static int load_after_a_discard(struct mirror *m, const char *p)
{
	int ret = -EAGAIN;

	for (int i = 0; ret == -EAGAIN && i < 300; i++)
		ret = load_from(m, p);
	return ret;
}

struct spinner {
	_Atomic bool stop;
	pthread_t thread;
};

static void *spin(void *arg)
{
	struct spinner *s = arg;

	while (!atomic_load(&s->stop))
		;
	return NULL;
}

static void without_faults_discarded_memory_is_waited_for(void **state)
{
	struct mirror *m = *state;
	struct spinner s = { .stop = false };
	char *p = pattern(M2);

	reopen(m, "soft:faults=none", 1, NULL);
	assert_int_equal(load_from(m, p), 0);
	assert_int_equal(pthread_create(&s.thread, NULL, spin, &s), 0);
	for (int i = 0; i < 20; i++) {
		madvise(p, K64, MADV_DONTNEED);
		assert_int_equal(load_after_a_discard(m, p), 0);
	}
	atomic_store(&s.stop, true);
	pthread_join(s.thread, NULL);
	munmap(p, M2);
}

static void without_faults_a_pending_discard_is_an_error_of_jobs_that_name_the_memory(void **state)
{
	struct mirror *m = *state;
	struct held_discard held;
	char *p = pattern(16 * M2);

	reopen(m, "soft:faults=none", 1, NULL);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 16 * M2, PROT_READ), 0);
	held_discard_begin(&held);
	/* Before, behind and between: 128 pieces of 64 KiB with as much between them. */
	for (size_t i = 0; i < 16 * M2; i += 2 * K64)
		madvise(p + i, K64, MADV_DONTNEED);
	assert_int_equal(load_from(m, p + 8 * M2), -EAGAIN);
	for (size_t i = K64; i < 16 * M2; i += 2 * K64)
		assert_int_equal(load_from(m, p + i), 0);
	held_discard_end(&held);
	assert_int_equal(load_after_a_discard(m, p + 8 * M2), 0);
	munmap(p, 16 * M2);
}

/* Loads, waits without any load, and loads again. */
static int kernel_rest(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct relay *r = arg;
	int ret = hmm_load(ctx, r->s.buf, r->s.va, 8);

	r->step = 1;
	while (!ret && r->step == 1)
		ret = hmm_settle(ctx);
	return ret ? ret : hmm_load(ctx, r->s.buf, r->s.va, 8);
}

/*
 * Two jobs run. What one of them named is pending, and the other one loses its memory: it goes on.
 */
static void without_faults_a_job_does_not_suffer_from_what_another_one_named(void **state)
{
	struct mirror *m = *state;
	struct held_discard held;
	char *p = pattern(M2);
	char *q = pattern(M2);
	struct relay r = { .s = { .va = at(p), .buf = malloc(8) } };
	struct span s = { .va = at(q), .len = 8, .buf = malloc(8) };
	struct hmm_job_range ranges[] = { { at(p), at(p) + PAGE, PROT_READ, 0 },
					  { at(q), at(q) + PAGE, PROT_READ, 0 } };
	struct hmm_job first = { .size = sizeof(first),
				 .kernel = kernel_relay,
				 .arg = &r,
				 .items = 2,
				 .ranges = &ranges[0],
				 .nranges = 1 };
	struct relay waits = { .s = { .va = at(q), .buf = s.buf } };
	struct hmm_job second = { .size = sizeof(second),
				  .kernel = kernel_rest,
				  .arg = &waits,
				  .items = 1,
				  .ranges = &ranges[1],
				  .nranges = 1 };

	reopen(m, "soft:faults=none", 2, NULL);
	assert_int_equal(hmm_svm_submit(m->svm, &second), 0);
	while (waits.step != 1)
		sched_yield();
	assert_int_equal(hmm_svm_submit(m->svm, &first), 0);
	while (r.step != 1)
		sched_yield();
	held_discard_begin(&held);
	madvise(q, PAGE, MADV_DONTNEED);
	p = mmap(p, M2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memset(p, 5, PAGE);
	barrier(m);
	r.step = 2;
	assert_int_equal(hmm_svm_wait(m->svm, &first, HMM_FOREVER), 0);
	assert_int_equal(first.status, 0);
	assert_memory_equal(r.s.buf, p, 8);
	waits.step = 2;
	assert_int_equal(hmm_svm_wait(m->svm, &second, HMM_FOREVER), 0);
	assert_int_equal(second.status, -EAGAIN);
	held_discard_end(&held);
	free(r.s.buf);
	free(s.buf);
	munmap(p, M2);
	munmap(q, M2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(without_faults_named_memory_is_populated_at_submit),
		T(without_faults_other_memory_is_an_error),
		T(without_faults_vanished_memory_is_an_error),
		T(without_faults_an_invalidation_populates_again),
		T(without_faults_discarded_memory_is_waited_for),
		T(without_faults_a_pending_discard_is_an_error_of_jobs_that_name_the_memory),
		T(without_faults_a_job_does_not_suffer_from_what_another_one_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
