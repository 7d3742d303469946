// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The simulated load of hmm-simulator(7), as the page prints it, while its memory comes and goes.
 */
#include "docs.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/uio.h>

#include "simulator.inc"

#define LEN (16 * PAGE)
#define ROUNDS 300

static struct {
	struct hmm_mm *mm;
	struct hmm_device *dev;
	struct sim sim;
	char *buf;
	_Atomic uint64_t changes; /* odd: buf is being replaced */
	_Atomic bool stop;
} t;

static int map(struct hmm_device *dev, const struct hmm_device_map *m)
{
	return hmm_ptable_set(t.sim.table, m->start, m->shift, m->pfns, m->n);
}

static void invalidate(struct hmm_device *dev, uint64_t start, uint64_t end, enum hmm_event event)
{
	hmm_ptable_clear(t.sim.table, start, end);
}

static int open_all(void **state)
{
	static const struct hmm_device_ops ops = {
		.size = sizeof(ops),
		.abi = HMM_DEVICE_ABI,
		.name = "sim",
		.map = map,
		.invalidate = invalidate,
	};

	memset(&t, 0, sizeof(t));
	assert_int_equal(hmm_mm_attach(NULL, &t.mm), 0);
	assert_int_equal(hmm_ptable_create(NULL, &t.sim.table), 0);
	assert_int_equal(hmm_device_create(t.mm, &ops, NULL, NULL, &t.dev), 0);
	assert_int_equal(hmm_svm_create(t.mm, t.dev, NULL, &t.sim.svm), 0);
	assert_int_equal(hmm_engine_create(t.mm, &t.sim.engine), 0);
	t.buf = room(LEN);
	return 0;
}

static int close_all(void **state)
{
	room_free(t.buf, LEN);
	hmm_engine_destroy(t.sim.engine);
	hmm_svm_destroy(t.sim.svm);
	hmm_device_destroy(t.dev);
	hmm_ptable_destroy(t.sim.table);
	hmm_mm_detach(t.mm);
	return 0;
}

static void *replacer(void *arg)
{
	for (uint64_t n = 1; !t.stop; n++) {
		atomic_fetch_add(&t.changes, 1);
		t.stop |= !replace(t.buf, LEN);
		*(volatile uint64_t *)t.buf = n;
		atomic_fetch_add(&t.changes, 1);
		usleep(100);
	}
	return NULL;
}

static void a_load_sees_what_is_mapped_while_it_comes_and_goes(void **state)
{
	unsigned int undisturbed = 0;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, replacer, NULL), 0);
	while (undisturbed < ROUNDS && !t.stop) {
		uint64_t before = t.changes;
		uint64_t value;
		int ret = load(&t.sim, &value, (uintptr_t)t.buf, sizeof(value));

		if (t.changes != before || before & 1)
			continue;
		assert_int_equal(ret, 0);
		assert_int_equal(value, before / 2);
		undisturbed++;
	}
	assert_false(t.stop);
	t.stop = true;
	pthread_join(thread, NULL);
	assert_true(t.sim.faults > 0);
}

static void a_load_of_what_has_gone_is_EFAULT(void **state)
{
	uint64_t value;
	void *at;

	assert_int_equal(load(&t.sim, &value, (uintptr_t)t.buf, sizeof(value)), 0);
	/* In one call: another thread's mapping could take the place. */
	at = mmap(t.buf, LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	assert_ptr_equal(at, t.buf);
	assert_int_equal(load(&t.sim, &value, (uintptr_t)t.buf, sizeof(value)), -EFAULT);
	assert_ptr_equal(mmap(t.buf, LEN, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 t.buf);
}

static void a_file_that_was_cut_vanishes(void **state)
{
	int fd = memfd_create("cut", MFD_CLOEXEC);
	uint64_t value = 7;
	char *p;

	assert_int_equal(ftruncate(fd, LEN), 0);
	p = mmap(NULL, LEN, RW, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(load(&t.sim, &value, (uintptr_t)p, sizeof(value)), 0);
	assert_int_equal(value, 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(load(&t.sim, &value, (uintptr_t)p, sizeof(value)), -EFAULT);
	assert_int_equal(munmap(p, LEN), 0);
	close(fd);
}

static void what_cannot_be_cached_is_read_all_the_same(void **state)
{
	int fd = memfd_create("read-only", MFD_CLOEXEC);
	char path[64];
	uint64_t value = 7;
	char *p;
	int reader;

	assert_int_equal(ftruncate(fd, LEN), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	reader = open(path, O_RDONLY | O_CLOEXEC);
	p = mmap(NULL, LEN, PROT_READ, MAP_SHARED, reader, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(hmm_svm_fault(t.sim.svm, (uintptr_t)p, 1, PROT_READ), 1);
	assert_int_equal(load(&t.sim, &value, (uintptr_t)p, sizeof(value)), 0);
	assert_int_equal(value, 0);
	assert_int_equal(munmap(p, LEN), 0);
	close(reader);
	close(fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_load_sees_what_is_mapped_while_it_comes_and_goes),
		TEST(a_load_of_what_has_gone_is_EFAULT),
		TEST(a_file_that_was_cut_vanishes),
		TEST(what_cannot_be_cached_is_read_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
