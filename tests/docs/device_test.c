// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The registration cache of hmm-device(7), as the page prints it, with buffers that come and go. */
#include "docs.h"
#include <liburing.h>

#define SLOTS 4
#define LEN (4 * PAGE)

#include "device.inc"

static struct {
	struct hmm_mm *mm;
	struct hmm_regcache *cache;
	int fd;
} t;

static int open_all(void **state)
{
	if (io_uring_queue_init(8, &ring, 0))
		return 0;
	assert_int_equal(io_uring_register_buffers_sparse(&ring, SLOTS), 0);
	assert_int_equal(hmm_mm_attach(NULL, &t.mm), 0);
	assert_int_equal(hmm_regcache_create(t.mm, &cache_ops, NULL, NULL, &t.cache), 0);
	t.fd = memfd_create("regcache", MFD_CLOEXEC);
	assert_int_equal(ftruncate(t.fd, LEN), 0);
	return 0;
}

static int close_all(void **state)
{
	if (!t.mm)
		return 0;
	hmm_regcache_destroy(t.cache);
	hmm_mm_detach(t.mm);
	for (int i = 0; i < SLOTS; i++)
		assert_false(taken[i]);
	io_uring_queue_exit(&ring);
	close(t.fd);
	return 0;
}

static char *map(void *at)
{
	char *p = mmap(at, LEN, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0), -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static void read_word(char *p, uint64_t word)
{
	assert_int_equal(pwrite(t.fd, &word, sizeof(word), 0), sizeof(word));
	assert_int_equal(start_read(t.cache, t.fd, p, LEN), 0);
	assert_int_equal(end_read(t.cache), LEN);
	assert_int_equal(*(uint64_t *)p, word);
}

static void what_is_read_arrives_where_memory_is_now(void **state)
{
	struct hmm_regcache_stats s = { .size = sizeof(s) };
	char *p;

	if (!t.mm)
		skip(); /* no io_uring */
	p = map(NULL);
	for (uint64_t i = 1; i <= 50; i++) {
		read_word(p, 2 * i);
		read_word(p, 2 * i + 1);
		munmap(p, LEN);
		assert_ptr_equal(map(p), p);
	}
	assert_int_equal(hmm_regcache_get_stats(t.cache, &s), 0);
	assert_int_equal(s.misses, 50);
	assert_int_equal(s.hits, 50);
	munmap(p, LEN);
}

/* There are no more slots than four. */
static void more_buffers_than_slots(void **state)
{
	char *p[2 * SLOTS];

	if (!t.mm)
		skip(); /* no io_uring */
	for (int i = 0; i < 2 * SLOTS; i++)
		p[i] = map(NULL);
	for (uint64_t i = 0; i < 4 * SLOTS; i++)
		read_word(p[i % (2 * SLOTS)], i);
	for (int i = 0; i < 2 * SLOTS; i++)
		munmap(p[i], LEN);
}

/* A read that is not started leaves nothing registered or to be submitted. */
static void reads_that_cannot_be_started(void **state)
{
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	int fd, n = 0;
	char *p, *q;

	if (!t.mm)
		skip(); /* no io_uring */
	p = map(NULL);
	fd = ring.enter_ring_fd;
	ring.enter_ring_fd = -1;
	assert_int_equal(start_read(t.cache, t.fd, p, LEN), -EBADF);
	ring.enter_ring_fd = fd;
	hmm_regcache_flush(t.cache);
	for (int i = 0; i < SLOTS; i++)
		assert_false(taken[i]);
	/* The slot is that of other memory now. */
	q = map(NULL);
	read_word(q, 7);
	assert_int_equal(*p, 0);

	while ((sqe = io_uring_get_sqe(&ring))) {
		io_uring_prep_nop(sqe);
		n++;
	}
	assert_int_equal(start_read(t.cache, t.fd, p, LEN), -EBUSY);
	assert_int_equal(io_uring_submit(&ring), n);
	while (n--) {
		assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
		io_uring_cqe_seen(&ring, cqe);
	}
	hmm_regcache_flush(t.cache);
	for (int i = 0; i < SLOTS; i++)
		assert_false(taken[i]);
	munmap(p, LEN);
	munmap(q, LEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_read_arrives_where_memory_is_now),
		cmocka_unit_test(more_buffers_than_slots),
		cmocka_unit_test(reads_that_cannot_be_started),
	};

	return cmocka_run_group_tests(tests, open_all, close_all);
}
