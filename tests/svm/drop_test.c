// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A device that drops more than it was asked to, which is legal: whole 2M where a page was to go,
 * or what it pleases. Whatever it faults on is installed again, or the fault ends with an error;
 * and nothing is installed twice because two engines wait for it.
 *
 *	use:  entry? done : raise a fault, have it served, look again
 */
#include <sys/shm.h>
#include "common/svm.h"
#include "svm/svm.h"

#define RW (PROT_READ | PROT_WRITE)
#define REPLAYS 4 /* more of them for one use: it would go on for ever */
#define CROWD 64

struct drop {
	struct mirror m;
	struct hmm_ptable *table;
	struct hmm_device_fault in[CROWD]; /* the fault buffer */
	unsigned int n, done;
	int error; /* of the last answer */
	unsigned int maps;
	int fail; /* answer of each map that is not 0 */
	struct hmm_svm_options options;
	char *p; /* M2 bytes */
};

static int drop_map(struct hmm_device *dev, const struct hmm_device_map *map)
{
	struct drop *d = hmm_device_priv(dev);

	d->maps++;
	if (d->fail)
		return d->fail;
	return hmm_ptable_set(d->table, map->start, map->shift, map->pfns, map->n);
}

static void drop_invalidate(struct hmm_device *dev, uint64_t start, uint64_t end,
			    enum hmm_event event)
{
	struct drop *d = hmm_device_priv(dev);
	bool all = end > UINT64_MAX - M2;

	hmm_ptable_clear(d->table, start & ~(M2 - 1), all ? end : (end + M2 - 1) & ~(M2 - 1));
}

static int drop_fetch(struct hmm_device *dev, struct hmm_device_fault *faults, unsigned int n,
		      uint64_t timeout_ns)
{
	struct drop *d = hmm_device_priv(dev);
	unsigned int k = d->n < n ? d->n : n;

	for (unsigned int i = 0; i < k; i++)
		faults[i] = d->in[--d->n];
	return (int)k;
}

static int drop_done(struct hmm_device *dev, const struct hmm_device_fault *fault, int error)
{
	struct drop *d = hmm_device_priv(dev);

	d->done++;
	d->error = error;
	return 0;
}

static struct hmm_device_ops ops = {
	.size = sizeof(ops),
	.abi = HMM_DEVICE_ABI,
	.name = "drop",
	.thread_model = HMM_THREADS_PARALLEL,
	.map = drop_map,
	.invalidate = drop_invalidate,
	.fetch_faults = drop_fetch,
	.fault_done = drop_done,
};

static void open_as(struct drop *d, uint32_t fault_model)
{
	ops.fault_model = fault_model;
	assert_int_equal(hmm_mm_attach(NULL, &d->m.mm), 0);
	assert_int_equal(hmm_ptable_create(NULL, &d->table), 0);
	assert_int_equal(hmm_device_create(d->m.mm, &ops, d, NULL, &d->m.dev), 0);
	assert_int_equal(hmm_svm_create(d->m.mm, d->m.dev, &d->options, &d->m.svm), 0);
}

static int setup(void **state)
{
	struct drop *d = calloc(1, sizeof(*d));

	d->options = (struct hmm_svm_options)HMM_SVM_OPTIONS_INIT;
	d->p = map_aligned(M2, RW);
	open_as(d, HMM_FAULTS_REPLAY);
	*state = d;
	return 0;
}

static void shut(struct drop *d)
{
	mirror_close(&d->m);
	hmm_ptable_destroy(d->table);
}

static int teardown(void **state)
{
	struct drop *d = *state;

	shut(d);
	munmap(d->p, M2);
	free(d);
	return 0;
}

static void reopen(struct drop *d, uint64_t shifts, uint32_t batch, uint32_t fault_model)
{
	shut(d);
	d->options.chunk_shifts = shifts;
	d->options.fault_batch = batch;
	open_as(d, fault_model);
}

static uint64_t entry(struct drop *d, size_t offset)
{
	return hmm_ptable_lookup(d->table, at(d->p) + offset, NULL);
}

static void raise_fault(struct drop *d, size_t offset, int prot)
{
	d->in[d->n++] = (struct hmm_device_fault){ .addr = at(d->p) + offset,
						   .len = 1,
						   .prot = (uint32_t)prot };
}

/* The device wants a page: how many faults that took. */
static unsigned int use(struct drop *d, size_t offset, int prot)
{
	uint64_t want = HMM_PFN_VALID | (prot & PROT_WRITE ? HMM_PFN_WRITE : 0);
	unsigned int faults = 0;

	while ((entry(d, offset) & want) != want) {
		raise_fault(d, offset, prot);
		assert_true(++faults < REPLAYS);
		assert_int_equal(hmm_device_serve_faults(d->m.dev), 0);
		if (d->error)
			break;
	}
	return faults;
}

static void use_everywhere(struct drop *d, int prot)
{
	for (size_t i = 0; i < M2; i += PAGE)
		use(d, i, prot);
}

static void an_invalidation_may_take_more(struct drop *d, uint64_t shifts)
{
	reopen(d, shifts, 0, HMM_FAULTS_REPLAY);
	memset(d->p, 1, M2);
	use_everywhere(d, RW);
	assert_int_equal(munmap(d->p + 7 * PAGE, PAGE), 0);
	barrier(&d->m);
	assert_int_equal(entry(d, 100 * PAGE), 0);
	use(d, 100 * PAGE, RW);
	assert_int_equal(d->error, 0);
	assert_true(entry(d, 100 * PAGE) & HMM_PFN_WRITE);
	use(d, 0, PROT_READ);
	assert_int_equal(d->error, 0);
	use(d, 7 * PAGE, PROT_READ);
	assert_int_equal(d->error, -EFAULT);
}

static void an_invalidation_takes_the_2m_around_4k_chunks(void **state)
{
	an_invalidation_may_take_more(*state, 1UL << 12);
}

static void an_invalidation_takes_the_2m_around_64k_chunks(void **state)
{
	an_invalidation_may_take_more(*state, 1UL << 16);
}

static void an_invalidation_takes_the_2m_of_a_chunk(void **state)
{
	an_invalidation_may_take_more(*state, 0);
}

static void what_the_device_evicts_comes_back(void **state)
{
	struct drop *d = *state;

	use_everywhere(d, PROT_READ);
	assert_int_equal(d->maps, 1);
	hmm_ptable_clear(d->table, at(d->p) + K64, at(d->p) + 2 * K64);
	use_everywhere(d, PROT_READ);
	assert_int_equal(svm_stats(&d->m).reinstalled, 1);
	assert_int_equal(d->maps, 2);
	/* Known to be complete: nothing is walked for what is there. */
	assert_int_equal(hmm_svm_fault(d->m.svm, at(d->p), M2, PROT_READ), 0);
	assert_int_equal(d->maps, 2);
	for (int i = 0; i < 20; i++) {
		hmm_ptable_clear(d->table, at(d->p), at(d->p) + M2);
		use_everywhere(d, PROT_READ);
	}
	assert_int_equal(d->maps, 22);
}

static void an_evicted_entry_comes_back_writable(void **state)
{
	struct drop *d = *state;

	use(d, 0, RW);
	hmm_ptable_clear_bits(d->table, at(d->p), at(d->p) + M2, HMM_PFN_WRITE);
	use_everywhere(d, RW);
	hmm_ptable_clear(d->table, at(d->p), at(d->p) + M2);
	use_everywhere(d, RW);
	assert_int_equal(d->error, 0);
}

static void a_write_finds_what_is_left_of_an_upgraded_file(void **state)
{
	struct drop *d = *state;
	char path[] = "drop-XXXXXX";
	int fd;

	mirror_need(&d->m, false, true);
	fd = mkstemp(path);
	unlink(path);
	assert_int_equal(ftruncate(fd, M2), 0);
	assert_ptr_equal(mmap(d->p, M2, RW, MAP_SHARED | MAP_FIXED, fd, 0), d->p);
	close(fd);
	use_everywhere(d, PROT_READ);
	use(d, 5 * K64, RW);
	hmm_ptable_clear(d->table, at(d->p), at(d->p) + M2);
	use(d, 9 * K64, RW);
	use(d, 5 * K64, RW);
	use_everywhere(d, PROT_READ);
	use_everywhere(d, RW);
	assert_int_equal(d->error, 0);
}

/* Whatever the device says is its own error, also where it looks like one of ours. */
static void a_map_that_fails_ends_the_fault(void **state)
{
	static const int errors[] = { -EIO, -EAGAIN, -ESTALE, -EBUSY, -ETIME, -EFAULT, 1, 2, 3 };
	struct drop *d = *state;

	for (unsigned int i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		d->fail = errors[i];
		assert_int_equal(hmm_svm_fault(d->m.svm, at(d->p), 1, RW),
				 errors[i] < 0 ? errors[i] : -EIO);
		assert_int_equal(svm_stats(&d->m).mapped_bytes, 0);
	}
	d->fail = 0;
	use(d, 0, RW);
	assert_int_equal(d->error, 0);
}

/* What is checked at each submit is remembered once. */
static void a_segment_that_is_evicted_often_is_checked_once(void **state)
{
	struct drop *d = *state;
	int id = shmget(IPC_PRIVATE, M2, IPC_CREAT | 0600);
	unsigned int n = 0;

	munmap(d->p, M2);
	assert_ptr_equal(shmat(id, d->p, 0), d->p);
	shmctl(id, IPC_RMID, NULL);
	if (!hmm_svm_fault(d->m.svm, at(d->p), M2, PROT_READ)) {
		for (int i = 0; i < 10; i++) {
			hmm_ptable_clear(d->table, at(d->p), at(d->p) + M2);
			use(d, 0, PROT_READ);
		}
		for (struct svm_checked *c = d->m.svm->checked; c; c = c->next)
			n++;
		assert_int_equal(n, 1);
		shmdt(d->p);
	} else {
		shmdt(d->p);
		print_message("System V segments are never cached here (PAGEMAP_SCAN, WP_ASYNC)\n");
		skip();
	}
}

/*
 * Of many faults of a chunk the first has it installed. A fault that came too late for the first
 * one's batch is in the next.
 */
static void who_waits_for_the_same_costs_nothing(void **state)
{
	struct drop *d = *state;

	reopen(d, 0, 4, HMM_FAULTS_REPLAY);
	for (unsigned int i = 0; i < CROWD; i++)
		raise_fault(d, i * PAGE, PROT_READ);
	assert_int_equal(hmm_device_serve_faults(d->m.dev), 0);
	assert_int_equal(d->done, CROWD);
	assert_int_equal(d->maps, 1);
	assert_int_equal(svm_stats(&d->m).coalesced, CROWD - 1);
	/* The same for a fault that was overtaken by an installation without a fault. */
	hmm_svm_drop(d->m.svm, at(d->p), at(d->p) + M2);
	raise_fault(d, 0, PROT_READ);
	assert_int_equal(hmm_svm_fault(d->m.svm, at(d->p), 1, PROT_READ), 0);
	assert_int_equal(hmm_device_serve_faults(d->m.dev), 0);
	assert_int_equal(d->done, CROWD + 1);
	assert_int_equal(d->maps, 2);
	assert_int_equal(svm_stats(&d->m).reinstalled, 0);
}

/* One batch a look, each of them full. */
static void a_buffer_that_is_never_empty_starves_nobody(void **state)
{
	struct drop *d = *state;
	unsigned int faults;

	use(d, 0, PROT_READ);
	hmm_ptable_clear(d->table, at(d->p), at(d->p) + M2);
	for (faults = 0; !entry(d, 0); faults++) {
		while (d->n < CROWD)
			raise_fault(d, 0, PROT_READ);
		assert_true(faults < 200);
		assert_int_equal(svm_batch_serve(d->m.svm, HMM_NO_WAIT), CROWD);
	}
}

/* Such a device asks for everything that its jobs named. */
static void what_a_device_without_faults_drops_comes_back(void **state)
{
	struct drop *d = *state;
	struct hmm_job_range range = { at(d->p), at(d->p) + M2, RW, 0 };
	struct hmm_job job = { .size = sizeof(job),
			       .kernel = kernel_touch,
			       .items = 1,
			       .ranges = &range,
			       .nranges = 1 };
	struct svm_job running = { .job = &job };
	unsigned int calls = 0;

	reopen(d, 0, 0, HMM_FAULTS_NONE);
	assert_int_equal(hmm_svm_fault(d->m.svm, at(d->p), M2, RW), 0);
	d->m.svm->jobs = &running;
	/* Nothing is missing: it was restored for another engine. */
	for (int i = 0; i < 32; i++)
		assert_int_equal(hmm_device_restore(d->m.dev), 0);
	assert_int_equal(d->maps, 1);
	hmm_ptable_clear(d->table, at(d->p), at(d->p) + PAGE);
	for (; !entry(d, 0); calls++) {
		assert_true(calls < 100);
		assert_int_equal(hmm_device_restore(d->m.dev), 0);
	}
	assert_int_equal(d->maps, 2);
	d->m.svm->jobs = NULL;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(an_invalidation_takes_the_2m_around_4k_chunks),
		T(an_invalidation_takes_the_2m_around_64k_chunks),
		T(an_invalidation_takes_the_2m_of_a_chunk),
		T(what_the_device_evicts_comes_back),
		T(an_evicted_entry_comes_back_writable),
		T(a_write_finds_what_is_left_of_an_upgraded_file),
		T(a_map_that_fails_ends_the_fault),
		T(a_segment_that_is_evicted_often_is_checked_once),
		T(who_waits_for_the_same_costs_nothing),
		T(a_buffer_that_is_never_empty_starves_nobody),
		T(what_a_device_without_faults_drops_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
