// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A thread that is cancelled inside a call leaves no claim, no lock and no job behind. */
#include "common/soft.h"

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
	pthread_t thread;
	_Atomic bool in_call, requested, returned;
	int ret;
};

static void request(struct cancelled *c)
{
	if (c->in_call && !atomic_exchange(&c->requested, true))
		pthread_cancel(c->thread);
}

/*
 * AddressSanitizer does not know that a cancelled thread's frames are gone, and finds fault with
 * its end.
 */
#ifdef __SANITIZE_ADDRESS__
#define ACTS false
#else
#define ACTS true
#endif

static void *cancelled_thread(void *arg)
{
	struct cancelled *c = arg;

	c->thread = pthread_self();
	c->in_call = true;
	c->ret = c->call(c);
	c->returned = true;
	pthread_setcancelstate(ACTS ? PTHREAD_CANCEL_ENABLE : PTHREAD_CANCEL_DISABLE, NULL);
	pthread_testcancel();
	return NULL;
}

static void run_cancelled(struct cancelled *c, int (*call)(struct cancelled *c))
{
	pthread_t t;
	void *result;

	c->call = call;
	pthread_create(&t, NULL, cancelled_thread, c);
	pthread_join(t, &result);
	assert_true(c->requested);
	assert_true(c->returned);
	assert_int_equal(c->ret, 0);
	/* Held off, not lost. */
	if (ACTS)
		assert_ptr_equal(result, PTHREAD_CANCELED);
}

/* ---- in the middle of a fault: what it registers is told to all drivers ---------------------- */

static int cancel_in_callback(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
			      void *priv)
{
	request(priv);
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { sizeof(ops), cancel_in_callback, NULL };

static void cancel_in_a_fault(struct mirror *m, int (*call)(struct cancelled *c))
{
	struct cancelled c = { .m = m, .p = map_aligned(M2, RW) };
	struct hmm_interval_notifier *ni;

	assert_int_equal(hmm_interval_notifier_insert(m->mm, at(c.p), M2, &ops, &c, &ni), 0);
	run_cancelled(&c, call);
	assert_int_equal(hmm_svm_drop(m->svm, at(c.p), at(c.p) + M2), 0);
	assert_int_equal(hmm_svm_fault(m->svm, at(c.p), M2, RW), 0);
	hmm_interval_notifier_remove(ni);
	munmap(c.p, M2);
}

static int call_fault(struct cancelled *c)
{
	return hmm_svm_fault(c->m->svm, at(c->p), M2, RW);
}

static void cancelled_fault_leaves_no_claim(void **state)
{
	cancel_in_a_fault(*state, call_fault);
}

static int call_prefetch(struct cancelled *c)
{
	int64_t bytes = hmm_svm_prefetch(c->m->svm, at(c->p), at(c->p) + M2, PROT_READ);

	return bytes == (int64_t)M2 ? 0 : -1;
}

static void cancelled_prefetch_leaves_no_claim(void **state)
{
	cancel_in_a_fault(*state, call_prefetch);
}

/* ---- while a job runs ------------------------------------------------------------------------ */

static int kernel_cancels(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct cancelled *c = arg;
	char buf[64];

	request(c);
	usleep(20000); /* the waiter is cancelled where it sleeps, if it is */
	return hmm_load(ctx, buf, at(c->p), sizeof(buf));
}

static int call_run(struct cancelled *c)
{
	return run(c->m, kernel_cancels, c, 1);
}

static void cancelled_wait_for_a_job_ends_after_the_job(void **state)
{
	struct mirror *m = *state;
	struct cancelled c = { .m = m, .p = map_aligned(M2, RW) };
	struct span s = { .va = at(c.p), .len = 1, .prot = PROT_READ };

	run_cancelled(&c, call_run);
	assert_int_equal(run(m, kernel_touch, &s, 1), 0);
	munmap(c.p, M2);
}

/* ---- before the call ------------------------------------------------------------------------- */

static int call_open_and_close(struct cancelled *c)
{
	struct mirror m = { .mm = c->m->mm };
	struct hmm_svm_options options = HMM_SVM_OPTIONS_INIT;
	int ret;

	request(c);
	options.fault_threads = 2;
	ret = hmm_device_open(m.mm, "soft", 2, &m.dev);
	if (!ret)
		ret = hmm_svm_create(m.mm, m.dev, &options, &m.svm);
	hmm_svm_destroy(m.svm);
	hmm_device_destroy(m.dev);
	return ret;
}

static void cancelled_destruction_is_complete(void **state)
{
	struct mirror *m = *state;
	struct cancelled c = { .m = m, .p = map_aligned(PAGE, RW) };

	run_cancelled(&c, call_open_and_close);
	assert_int_equal(hmm_svm_fault(m->svm, at(c.p), PAGE, RW), 0);
	munmap(c.p, PAGE);
}

static void *faults_for_ever(void *arg)
{
	struct cancelled *c = arg;

	for (;;) {
		hmm_svm_fault(c->m->svm, at(c->p), PAGE, PROT_READ);
		c->returned = true;
	}
	return NULL;
}

static void thread_that_does_nothing_but_fault_can_be_cancelled(void **state)
{
	struct cancelled c = { .m = *state, .p = map_aligned(PAGE, RW) };
	void *result;

	if (!ACTS)
		skip();
	pthread_create(&c.thread, NULL, faults_for_ever, &c);
	while (!c.returned)
		sched_yield();
	pthread_cancel(c.thread);
	pthread_join(c.thread, &result);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_int_equal(hmm_svm_fault(c.m->svm, at(c.p), PAGE, RW), 0);
	munmap(c.p, PAGE);
}

#define R(name) cmocka_unit_test_setup_teardown(name, open_reading, close_mirror)

static void *nothing(void *arg)
{
	return arg;
}

/* The first call loads code and allocates, which the callbacks here that cancel may not. */
static void load_cancel(void)
{
	pthread_t t;

	pthread_create(&t, NULL, nothing, NULL);
	pthread_cancel(t);
	pthread_join(t, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		R(cancelled_fault_leaves_no_claim),
		R(cancelled_prefetch_leaves_no_claim),
		T(cancelled_wait_for_a_job_ends_after_the_job),
		T(cancelled_destruction_is_complete),
		T(thread_that_does_nothing_but_fault_can_be_cancelled),
	};

	load_cancel();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
