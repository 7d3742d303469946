/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* A thread that is cancelled inside a call leaves no claim, no lock and no job behind. */
#include "soft.h"

#define RW (PROT_READ | PROT_WRITE)

/* As a kernel that answers by read(), where a thread may be cancelled. */
static int open_reading(void **state)
{
	struct mirror *m = calloc(1, sizeof(*m));

	mirror_open_as(m, HMM_MM_NO_PAGEMAP_SCAN | HMM_MM_NO_PROCMAP_QUERY, "soft", 2, NULL);
	*state = m;
	return 0;
}

struct cancelled {
	struct mirror *m;
	char *p;
	int (*call)(struct cancelled *c);
	_Atomic bool returned;
	int rc;
};

/* The request is there before the call: the first point in it where a thread may be cancelled would act. */
static void *cancelled_thread(void *arg)
{
	struct cancelled *c = arg;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_cancel(pthread_self());
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	c->rc = c->call(c);
	c->returned = true;
	pthread_testcancel();
	return NULL;
}

static void run_cancelled(struct mirror *m, char *p, int (*call)(struct cancelled *c))
{
	struct cancelled c = { .m = m, .p = p, .call = call };
	pthread_t t;
	void *result;

	pthread_create(&t, NULL, cancelled_thread, &c);
	pthread_join(t, &result);
	assert_true(c.returned);
	assert_int_equal(c.rc, 0);
	/* Held off, not lost. */
	assert_ptr_equal(result, PTHREAD_CANCELED);
}

static int call_fault(struct cancelled *c)
{
	return hmm_svm_fault(c->m->svm, at(c->p), M2, RW);
}

static void cancelled_fault_leaves_no_claim(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, RW);

	run_cancelled(m, p, call_fault);
	assert_int_equal(hmm_svm_drop(m->svm, at(p), at(p) + M2), 0);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), M2, RW), 0);
	munmap(p, M2);
}

static int call_prefetch(struct cancelled *c)
{
	int64_t bytes = hmm_svm_prefetch(c->m->svm, at(c->p), at(c->p) + M2, PROT_READ);

	return bytes == (int64_t)M2 ? 0 : -1;
}

static void cancelled_prefetch_leaves_no_claim(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, RW);

	run_cancelled(m, p, call_prefetch);
	assert_int_equal(hmm_svm_drop(m->svm, at(p), at(p) + M2), 0);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), M2, RW), 0);
	munmap(p, M2);
}

static int call_run(struct cancelled *c)
{
	char buf[64];
	struct span s = { .va = at(c->p), .len = sizeof(buf), .buf = buf };

	return run(c->m, kernel_load, &s, 1);
}

static void cancelled_wait_for_a_job_ends_after_the_job(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, RW);
	struct span s = { .va = at(p), .len = 1, .prot = PROT_READ };

	run_cancelled(m, p, call_run);
	assert_int_equal(run(m, kernel_touch, &s, 1), 0);
	munmap(p, M2);
}

static int call_open_and_close(struct cancelled *c)
{
	struct mirror m = { .mm = c->m->mm };
	struct hmm_svm_options options = HMM_SVM_OPTIONS_INIT;
	int rc;

	options.fault_threads = 2;
	rc = hmm_device_open(m.mm, "soft", 2, &m.dev);
	if (!rc)
		rc = hmm_svm_create(m.mm, m.dev, &options, &m.svm);
	if (!rc)
		rc = hmm_svm_fault(m.svm, at(c->p), PAGE, PROT_READ);
	hmm_svm_destroy(m.svm);
	hmm_device_destroy(m.dev);
	return rc;
}

static void cancelled_destruction_is_complete(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(PAGE, RW);

	run_cancelled(m, p, call_open_and_close);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), PAGE, RW), 0);
	munmap(p, PAGE);
}

#define R(name) cmocka_unit_test_setup_teardown(name, open_reading, close_mirror)

int main(void)
{
	const struct CMUnitTest tests[] = {
		R(cancelled_fault_leaves_no_claim),
		R(cancelled_prefetch_leaves_no_claim),
		T(cancelled_wait_for_a_job_ends_after_the_job),
		T(cancelled_destruction_is_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
