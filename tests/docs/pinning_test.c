// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The driver of hmm-pinning(7), as the page prints it, and what the page says of map and
 * invalidate. Bytes go from pinned pages through a pipe.
 */
#include "docs.h"
#include <liburing.h>

#define PINS 64
#define LEN (16 * PAGE)
#define CHUNK (2UL << 20)

#include "pinning.inc"

static struct {
	struct hmm_mm *mm;
	struct hmm_device *dev;
	struct hmm_svm *svm;
	struct hmm_engine *engine;
	int pipe[2];
	int error;            /* what map answers */
	unsigned int maps;    /* calls */
	_Atomic int sleeping; /* 1: map is to sleep; 2: it does; 3: it is to wake; 4: it has */
	_Atomic unsigned int invalidates;
} t;

static int test_map(struct hmm_device *dev, const struct hmm_device_map *m)
{
	t.maps++;
	if (t.sleeping == 1) {
		t.sleeping = 2;
		for (int i = 0; i < 30000 && t.sleeping == 2; i++)
			usleep(1000);
		t.sleeping = 4;
	}
	return t.error ? t.error : map(dev, m);
}

static void test_invalidate(struct hmm_device *dev, uint64_t start, uint64_t end,
			    enum hmm_event event)
{
	t.invalidates++;
	invalidate(dev, start, end, event);
}

static int open_all(void **state)
{
	static const struct hmm_device_ops ops = {
		.size = sizeof(ops),
		.abi = HMM_DEVICE_ABI,
		.name = "pins",
		.map = test_map,
		.invalidate = test_invalidate,
	};

	memset(&t, 0, sizeof(t));
	pins = hmm_memory_alloc(PINS * sizeof(*pins)); /* zeroed */
	assert_non_null(pins);
	if (io_uring_queue_init(8, &ring, 0))
		return 0;
	assert_int_equal(io_uring_register_buffers_sparse(&ring, PINS), 0);
	assert_int_equal(pipe(t.pipe), 0);
	assert_int_equal(hmm_mm_attach(NULL, &t.mm), 0);
	assert_int_equal(hmm_device_create(t.mm, &ops, NULL, NULL, &t.dev), 0);
	assert_int_equal(hmm_svm_create(t.mm, t.dev, NULL, &t.svm), 0);
	assert_int_equal(hmm_engine_create(t.mm, &t.engine), 0);
	return 0;
}

static int close_all(void **state)
{
	if (t.mm) {
		hmm_engine_destroy(t.engine);
		hmm_svm_destroy(t.svm);
		hmm_device_destroy(t.dev);
		hmm_mm_detach(t.mm);
		close(t.pipe[0]);
		close(t.pipe[1]);
		for (int i = 0; i < PINS; i++)
			assert_int_equal(pins[i].end, 0);
		io_uring_queue_exit(&ring);
	}
	hmm_memory_free(pins, PINS * sizeof(*pins));
	return 0;
}

static void needs_io_uring(void)
{
	if (!t.mm) {
		print_message("no io_uring here\n");
		skip();
	}
}

/* What an operation wrote that was started before. */
static void arrived(const char *want)
{
	struct io_uring_cqe *cqe;
	char got[16] = "";

	assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
	assert_int_equal(cqe->res, strlen(want) + 1);
	assert_int_equal(read(t.pipe[0], got, sizeof(got)), cqe->res);
	io_uring_cqe_seen(&ring, cqe);
	assert_string_equal(got, want);
}

static void throw_away(void)
{
	struct io_uring_cqe *cqe;
	char got[16];

	assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
	if (cqe->res > 0)
		assert_int_equal(read(t.pipe[0], got, sizeof(got)), cqe->res);
	io_uring_cqe_seen(&ring, cqe);
}

static void transfer(char *buf)
{
	unsigned int len = (unsigned int)strlen(buf) + 1;
	int ret;

	while ((ret = start_write(t.svm, t.engine, t.pipe[1], buf, len)) == 1)
		throw_away();
	assert_int_equal(ret, 0);
}

static uint64_t at(const void *p)
{
	return (uintptr_t)p;
}

/* Without a mirror the pin writes what was there before: so what the next test shows counts. */
static void a_pin_alone_goes_stale(void **state)
{
	char *buf = room(LEN);
	struct io_uring_sqe *sqe;

	needs_io_uring();
	strcpy(buf, "old");
	assert_int_equal(set(0, at(buf), at(buf) + LEN), 0);
	assert_true(replace(buf, LEN));
	strcpy(buf, "new");
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_write_fixed(sqe, t.pipe[1], buf, 4, 0, 0);
	assert_int_equal(io_uring_submit(&ring), 1);
	arrived("old");
	assert_int_equal(set(0, 0, 0), 0);
	room_free(buf, LEN);
}

static void the_driver_of_the_page_writes_what_is_mapped(void **state)
{
	char *buf = room(LEN);

	needs_io_uring();
	strcpy(buf, "old");
	transfer(buf);
	arrived("old");
	transfer(buf);
	arrived("old");
	assert_int_equal(t.maps, 1);
	assert_true(replace(buf, LEN));
	strcpy(buf, "new");
	transfer(buf);
	arrived("new");
	assert_int_equal(t.maps, 2);
	room_free(buf, LEN);
}

static void what_the_driver_dropped_needs_a_drop_to_be_installed_again(void **state)
{
	char *buf = room(LEN);

	needs_io_uring();
	strcpy(buf, "kept");
	transfer(buf);
	arrived("kept");
	invalidate(t.dev, at(buf), at(buf) + LEN, HMM_EVENT_MIGRATE);
	assert_int_equal(hmm_svm_fault(t.svm, at(buf), 1, RW), 0);
	assert_int_equal(t.maps, 1);
	transfer(buf);
	arrived("kept");
	assert_int_equal(t.maps, 2);
	room_free(buf, LEN);
}

static void an_error_about_a_part_is_asked_again_for_smaller_chunks(void **state)
{
	static const int part[] = { -EFAULT, -EPERM, -EACCES, -EHWPOISON };
	static const int whole[] = { -ENOMEM, -EAGAIN, -ENOSPC, -EIO };
	char *area = room(2 * CHUNK);
	uint64_t chunk = (at(area) + CHUNK - 1) & ~(CHUNK - 1);

	needs_io_uring();
	for (int i = 0; i < 4; i++) {
		t.error = part[i];
		t.maps = 0;
		t.invalidates = 0;
		assert_int_equal(hmm_svm_fault(t.svm, chunk, 1, RW), part[i]);
		assert_int_equal(t.maps, 3);
		assert_int_equal(t.invalidates, 3);
		t.error = whole[i];
		t.maps = 0;
		t.invalidates = 0;
		assert_int_equal(hmm_svm_fault(t.svm, chunk, 1, RW), whole[i]);
		assert_int_equal(t.maps, 1);
		assert_int_equal(t.invalidates, 1);
	}
	t.error = 0;
	assert_int_equal(hmm_svm_fault(t.svm, chunk, 1, RW), 0);
	room_free(area, 2 * CHUNK);
}

static void a_hole_is_EFAULT_without_a_call_of_map(void **state)
{
	char *buf = room(LEN);

	needs_io_uring();
	room_free(buf, LEN);
	assert_int_equal(hmm_svm_fault(t.svm, at(buf), 1, RW), -EFAULT);
	assert_int_equal(t.maps, 0);
}

static void *fault(void *buf)
{
	return (void *)(intptr_t)hmm_svm_fault(t.svm, at(buf), 1, RW);
}

static void a_map_that_sleeps_holds_up_no_munmap_for_long(void **state)
{
	char *buf = room(LEN);
	char *other = room(LEN);
	pthread_t thread;
	void *ret;

	needs_io_uring();
	assert_int_equal(hmm_svm_fault(t.svm, at(other), 1, RW), 0);
	t.sleeping = 1;
	assert_int_equal(pthread_create(&thread, NULL, fault, buf), 0);
	while (t.sleeping == 1)
		usleep(1000);
	room_free(other, LEN);
	assert_int_equal(t.sleeping, 2); /* still asleep: the watchdog has read */
	t.sleeping = 3;
	pthread_join(thread, &ret);
	assert_null(ret);
	hmm_engine_enter(t.engine);
	assert_int_equal(find(at(other), at(other) + 1), -1);
	hmm_engine_exit(t.engine);
	room_free(buf, LEN);
}

static void memory_to_read_is_refused_where_only_writes_are_safe(void **state)
{
	char *buf = room(LEN);

	needs_io_uring();
	assert_int_equal(hmm_svm_fault(t.svm, at(buf), 1, PROT_READ), -EOPNOTSUPP);
	room_free(buf, LEN);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_pin_alone_goes_stale),
		TEST(the_driver_of_the_page_writes_what_is_mapped),
		TEST(what_the_driver_dropped_needs_a_drop_to_be_installed_again),
		TEST(an_error_about_a_part_is_asked_again_for_smaller_chunks),
		TEST(a_hole_is_EFAULT_without_a_call_of_map),
		TEST(a_map_that_sleeps_holds_up_no_munmap_for_long),
		TEST(memory_to_read_is_refused_where_only_writes_are_safe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
