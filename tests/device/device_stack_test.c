// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Devices as objects: descriptions, stacks, missing ops, thread models, injected errors and delays.
 */
#include "common/svm.h"
#include "svm/svm.h"

static int open_mm(void **state)
{
	struct mirror *m = calloc(1, sizeof(*m));

	*state = m;
	return hmm_mm_attach(NULL, &m->mm);
}

static int close_mirror(void **state)
{
	mirror_close(*state);
	free(*state);
	return 0;
}

static void open_on(struct mirror *m, const char *spec)
{
	assert_int_equal(hmm_device_open(m->mm, spec, 1, &m->dev), 0);
	assert_int_equal(hmm_svm_create(m->mm, m->dev, NULL, &m->svm), 0);
}

/* ---- descriptions ---------------------------------------------------------------------------- */

static void bad_descriptions_are_refused(void **state)
{
	static const struct {
		const char *spec;
		int ret;
	} bad[] = {
		{ "nosuch", -ENODEV },
		{ "", -ENODEV },
		{ "error", -EINVAL },
		{ "error:rate=0.1", -EINVAL },
		{ "soft,null", -EINVAL },
		{ "soft:nosuch=1", -EINVAL },
		{ "soft:", -EINVAL },
		{ "rate=1,soft", -EINVAL },
		{ "soft,rate=1", -EINVAL },
		{ "error:rate=2,soft", -EINVAL },
		{ "error:rate=abc,soft", -EINVAL },
		{ "error:on=nowhere,soft", -EINVAL },
		{ "delay:us=-1,soft", -EINVAL },
		{ "soft:faults=maybe", -EINVAL },
		{ "null:x=1", -EINVAL },
		{ "delay,delay,delay,delay,delay,delay,delay,delay,soft", -EINVAL },
	};
	struct mirror *m = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct hmm_device *dev = NULL;

		if (hmm_device_open(m->mm, bad[i].spec, 1, &dev) != bad[i].ret)
			fail_msg("\"%s\" is not refused with %d", bad[i].spec, bad[i].ret);
		assert_null(dev);
	}
}

static void description_stacks_from_the_outside_in(void **state)
{
	struct mirror *m = *state;
	struct hmm_device *d;

	open_on(m, "error:rate=0,seed=7,delay:us=0,soft");
	d = m->dev;
	assert_string_equal(hmm_device_get_ops(d)->name, "error");
	d = hmm_device_inner(d);
	assert_string_equal(hmm_device_get_ops(d)->name, "delay");
	d = hmm_device_inner(d);
	assert_string_equal(hmm_device_get_ops(d)->name, "soft");
	assert_null(hmm_device_inner(d));
}

static void registry_lists_its_drivers(void **state)
{
	const struct hmm_device_driver *d;
	unsigned int n = 0;
	bool soft = false;

	while ((d = hmm_device_driver_at(n++)))
		soft |= !strcmp(d->name, "soft") && !d->stacks && d->summary[0];
	assert_true(soft);
	assert_true(n >= 4);
}

/* ---- ops ------------------------------------------------------------------------------------- */

static int no_kernel(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	return 0;
}

static void missing_ops_are_not_supported(void **state)
{
	struct mirror *m = *state;
	struct hmm_device_fault fault;
	const struct hmm_device_ops *ops;

	open_on(m, "null");
	ops = hmm_device_get_ops(m->dev);
	assert_int_equal(ops->fetch_faults(m->dev, &fault, 1, 0), -EOPNOTSUPP);
	assert_int_equal(ops->fault_done(m->dev, &fault, 0), -EOPNOTSUPP);
	assert_int_equal(run(m, no_kernel, NULL, 1), -EOPNOTSUPP);
	assert_int_equal(svm_batch_serve(m->svm, HMM_NO_WAIT), -EOPNOTSUPP);
}

static void wrong_ops_are_refused(void **state)
{
	struct mirror *m = *state;
	struct hmm_device_ops ops = { .size = sizeof(ops), .abi = HMM_DEVICE_ABI, .name = "x" };
	struct hmm_device *dev;

	ops.abi++;
	assert_int_equal(hmm_device_create(m->mm, &ops, NULL, NULL, &dev), -EINVAL);
	ops.abi = HMM_DEVICE_ABI;
	ops.size = 8;
	assert_int_equal(hmm_device_create(m->mm, &ops, NULL, NULL, &dev), -EINVAL);
	ops.size = sizeof(ops);
	ops.page_shifts = 1UL << 21;
	assert_int_equal(hmm_device_create(m->mm, &ops, NULL, NULL, &dev), -EINVAL);
}

static void device_carries_one_other(void **state)
{
	struct mirror *m = *state;
	struct hmm_device_ops ops = { .size = sizeof(ops), .abi = HMM_DEVICE_ABI, .name = "x" };
	struct hmm_device *second;

	open_on(m, "error:rate=0,soft");
	assert_int_equal(hmm_device_create(m->mm, &ops, NULL, hmm_device_inner(m->dev), &second),
			 -EINVAL);
	assert_int_equal(hmm_device_create(m->mm, &ops, NULL, m->dev, &second), -EINVAL);
}

static void statistics_check_their_size(void **state)
{
	struct mirror *m = *state;
	struct hmm_device_stats s = { .size = 4 };

	open_on(m, "soft");
	assert_int_equal(hmm_device_get_stats(m->dev, &s), -EINVAL);
}

/* A device that notices when two of its ops run at the same time. */
struct shy {
	_Atomic int inside;
	_Atomic int crowded;
	_Atomic int maps;
};

static int shy_map(struct hmm_device *dev, const struct hmm_device_map *map)
{
	struct shy *s = hmm_device_priv(dev);
	uint64_t end = now_ns() + 20000;

	if (atomic_fetch_add(&s->inside, 1))
		atomic_store(&s->crowded, 1);
	atomic_fetch_add(&s->maps, 1);
	while (now_ns() < end)
		;
	atomic_fetch_sub(&s->inside, 1);
	return 0;
}

struct faulter {
	struct mirror *m;
	char *p;
};

static void *faulter(void *arg)
{
	struct faulter *f = arg;

	for (int i = 0; i < 500; i++) {
		hmm_svm_fault(f->m->svm, at(f->p) + (uint64_t)i % 16 * PAGE, 1, PROT_READ);
		hmm_svm_drop(f->m->svm, at(f->p), at(f->p) + K64);
	}
	return NULL;
}

static int maps_crowd(struct mirror *m, enum hmm_thread_model model)
{
	struct shy shy = { 0 };
	struct hmm_device_ops ops = { .size = sizeof(ops),
				      .abi = HMM_DEVICE_ABI,
				      .name = "shy",
				      .thread_model = model,
				      .map = shy_map };
	struct faulter f[2] = { { m, map_aligned(K64, PROT_READ) },
				{ m, map_aligned(K64, PROT_READ) } };
	pthread_t t[2];

	assert_int_equal(hmm_device_create(m->mm, &ops, &shy, NULL, &m->dev), 0);
	assert_int_equal(hmm_svm_create(m->mm, m->dev, NULL, &m->svm), 0);
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, faulter, &f[i]);
	for (int i = 0; i < 2; i++) {
		pthread_join(t[i], NULL);
		munmap(f[i].p, K64);
	}
	hmm_svm_destroy(m->svm);
	m->svm = NULL;
	assert_true(shy.maps > 100);
	return shy.crowded;
}

static void serial_device_is_never_crowded(void **state)
{
	assert_int_equal(maps_crowd(*state, HMM_THREADS_SERIAL), 0);
}

/* ---- error ----------------------------------------------------------------------------------- */

static void failing_map_fails_the_job_and_leaves_nothing(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, PROT_READ | PROT_WRITE);
	struct span s = { .va = at(p), .len = 8, .buf = malloc(8) };

	open_on(m, "error:rate=1,on=map,count=1,soft");
	assert_int_equal(run(m, kernel_load, &s, 1), -EIO);
	assert_int_equal(svm_stats(m).mapped_bytes, 0);
	assert_int_equal(device_stats(m).injected, 1);
	assert_int_equal(device_stats(m).cancels, 1);
	/* Its count is used up. */
	assert_int_equal(run(m, kernel_load, &s, 1), 0);
	assert_int_equal(device_stats(m).injected, 1);
	free(s.buf);
	munmap(p, M2);
}

static void cancelled_fault_carries_the_chosen_error(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, PROT_READ | PROT_WRITE);
	struct span s = { .va = at(p), .len = 8, .buf = malloc(8) };

	open_on(m, "error:rate=1,on=fault,error=ENOMEM,soft");
	assert_int_equal(run(m, kernel_load, &s, 1), -ENOMEM);
	assert_int_equal(device_stats(m).cancels, 1);
	free(s.buf);
	munmap(p, M2);
}

static void failing_submit_starts_nothing(void **state)
{
	struct mirror *m = *state;

	open_on(m, "error:rate=1,on=submit,soft");
	assert_int_equal(run(m, no_kernel, NULL, 1), -EIO);
	assert_int_equal(device_stats(m).jobs, 0);
	assert_int_equal(device_stats(m).items, 0);
}

static uint64_t decisions(struct mirror *m, const char *spec)
{
	uint64_t bits = 0;

	open_on(m, spec);
	for (int i = 0; i < 64; i++)
		bits |= (uint64_t)(run(m, no_kernel, NULL, 1) != 0) << i;
	hmm_svm_destroy(m->svm);
	hmm_device_destroy(m->dev);
	m->svm = NULL;
	m->dev = NULL;
	return bits;
}

static void same_seed_gives_the_same_failures(void **state)
{
	struct mirror *m = *state;
	uint64_t a = decisions(m, "error:rate=0.5,on=submit,seed=42,soft");

	assert_int_equal(decisions(m, "error:rate=0.5,on=submit,seed=42,soft"), a);
	assert_true(decisions(m, "error:rate=0.5,on=submit,seed=43,soft") != a);
	assert_in_range(__builtin_popcountll(a), 10, 54);
}

/* ---- delay ----------------------------------------------------------------------------------- */

static void delay_is_waited_for(void **state)
{
	struct mirror *m = *state;
	uint64_t start;

	open_on(m, "delay:us=30000,on=submit,soft");
	start = now_ns();
	assert_int_equal(run(m, no_kernel, NULL, 1), 0);
	assert_true(now_ns() - start >= 30000000);
	assert_int_equal(device_stats(m).injected, 1);
}

static void stacked_devices_forward_a_job(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, PROT_READ | PROT_WRITE);
	struct span s = { .va = at(p), .len = 8, .buf = malloc(8) };

	open_on(m, "delay:us=10,error:rate=0,delay:us=10,on=map,soft");
	memset(p, 3, PAGE);
	assert_int_equal(run(m, kernel_load, &s, 1), 0);
	assert_memory_equal(s.buf, p, 8);
	/* submit, fetch, map, done of the outer one; map of the inner one */
	assert_int_equal(device_stats(m).injected, 5);
	assert_int_equal(device_stats(m).device_faults, 1);
	munmap(p, M2);
	barrier(m);
	assert_int_equal(device_stats(m).invalidations, 1);
	free(s.buf);
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_mm, close_mirror)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(bad_descriptions_are_refused),
		T(description_stacks_from_the_outside_in),
		T(registry_lists_its_drivers),
		T(missing_ops_are_not_supported),
		T(wrong_ops_are_refused),
		T(device_carries_one_other),
		T(statistics_check_their_size),
		T(serial_device_is_never_crowded),
		T(failing_map_fails_the_job_and_leaves_nothing),
		T(cancelled_fault_carries_the_chosen_error),
		T(failing_submit_starts_nothing),
		T(same_seed_gives_the_same_failures),
		T(delay_is_waited_for),
		T(stacked_devices_forward_a_job),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
