// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The registration cache of consumers/uring-cache: what a fixed buffer reads into and writes from
 * is what is mapped at its address, whatever the program did to it. Bytes go through a memory file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "cache.h"
#include "common/apart.h"

#define PAGE 4096UL
#define LEN (16 * PAGE)
#define RW (PROT_READ | PROT_WRITE)
#define SLOTS 4

static struct {
	struct hmm_mm *mm;
	struct io_uring ring;
	struct uring_cache *cache;
	char *p; /* LEN bytes between inaccessible pages */
	int fd;  /* LEN bytes of 'f' */
} t;

static int open_as(unsigned int flags)
{
	int ret = io_uring_queue_init(8, &t.ring, 0);

	if (ret == -EPERM || ret == -ENOSYS) {
		print_message("no io_uring here\n");
		skip();
	}
	assert_int_equal(ret, 0);
	assert_int_equal(hmm_mm_attach(NULL, &t.mm), 0);
	assert_int_equal(uring_cache_create(t.mm, &t.ring, SLOTS, flags, &t.cache), 0);
	t.p = map_apart(LEN + 2 * PAGE, PROT_NONE) + PAGE;
	assert_int_equal(mprotect(t.p, LEN, RW), 0);
	t.fd = memfd_create("file", MFD_CLOEXEC);
	memset(t.p, 'f', LEN);
	assert_int_equal(write(t.fd, t.p, LEN), LEN);
	return 0;
}

static int setup(void **state)
{
	return open_as(0);
}

static int setup_trusted(void **state)
{
	return open_as(URING_CACHE_TRUSTED);
}

static int teardown(void **state)
{
	uring_cache_destroy(t.cache);
	io_uring_queue_exit(&t.ring);
	hmm_mm_detach(t.mm);
	munmap(t.p - PAGE, LEN + 2 * PAGE);
	close(t.fd);
	return 0;
}

static struct uring_cache_stats stats(void)
{
	struct uring_cache_stats s;

	uring_cache_get_stats(t.cache, &s);
	return s;
}

static int finish(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	int res;

	assert_int_equal(io_uring_submit_and_wait(ring, 1), 1);
	assert_int_equal(io_uring_wait_cqe(ring, &cqe), 0);
	res = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return res;
}

/* A fixed read of the file into p; the slot or what get() said instead. */
static int read_into(char *p, size_t len)
{
	int slot = uring_cache_get(t.cache, p, len);

	if (slot < 0)
		return slot;
	io_uring_prep_read_fixed(io_uring_get_sqe(&t.ring), t.fd, p, (unsigned int)len, 0, slot);
	assert_int_equal(finish(&t.ring), (int)len);
	uring_cache_put(t.cache, slot);
	return slot;
}

/* The first byte that a fixed write from p puts into the file. */
static int written_from(const char *p)
{
	int slot = uring_cache_get(t.cache, p, PAGE);
	char byte = 0;

	assert_true(slot >= 0);
	io_uring_prep_write_fixed(io_uring_get_sqe(&t.ring), t.fd, p, PAGE, 0, slot);
	assert_int_equal(finish(&t.ring), PAGE);
	uring_cache_put(t.cache, slot);
	assert_int_equal(pread(t.fd, &byte, 1, 0), 1);
	return byte;
}

/* In one call: other threads map memory of their own, and a hole is where it may come. */
static void map_anew(char *p, size_t len)
{
	assert_ptr_equal(mmap(p, len, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), p);
}

static void a_buffer_is_registered_once(void **state)
{
	int slot = read_into(t.p, LEN);

	assert_true(slot >= 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(read_into(t.p, i % 2 ? LEN : PAGE), slot);
	assert_int_equal(stats().misses, 1);
	assert_int_equal(stats().hits, 100);
	assert_int_equal(stats().registered_bytes, LEN);
}

/* What happens without a cache, or the tests below prove nothing. */
static void a_registration_that_is_kept_blindly_reads_into_the_old_page(void **state)
{
	struct iovec iov = { t.p, LEN };
	struct io_uring ring;

	assert_int_equal(io_uring_queue_init(4, &ring, 0), 0);
	assert_int_equal(io_uring_register_buffers(&ring, &iov, 1), 0);
	map_anew(t.p, LEN);
	memset(t.p, 'n', LEN);
	io_uring_prep_read_fixed(io_uring_get_sqe(&ring), t.fd, t.p, PAGE, 0, 0);
	assert_int_equal(finish(&ring), PAGE);
	assert_int_equal(t.p[0], 'n');
	io_uring_queue_exit(&ring);
}

static void memory_mapped_anew_is_what_is_read_into(void **state)
{
	for (int i = 0; i < 500; i++) {
		map_anew(t.p, LEN);
		memset(t.p, 'n', LEN);
		assert_true(read_into(t.p, LEN) >= 0);
		assert_int_equal(t.p[0], 'f');
		assert_int_equal(t.p[LEN - 1], 'f');
	}
	assert_int_equal(stats().misses, 500);
	assert_true(stats().registered <= 1);
}

static void memory_mapped_anew_is_what_is_written_from(void **state)
{
	for (int i = 0; i < 500; i++) {
		map_anew(t.p, LEN);
		t.p[0] = (char)('0' + i % 10);
		assert_int_equal(written_from(t.p), '0' + i % 10);
	}
}

static void a_moved_buffer_is_not_where_it_was(void **state)
{
	char *to = mmap(NULL, LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(read_into(t.p, LEN) >= 0);
	assert_ptr_equal(mremap(t.p, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
	assert_int_equal(read_into(t.p, LEN), -EFAULT);
	memset(to, 'n', LEN);
	assert_true(read_into(to, LEN) >= 0);
	assert_int_equal(to[0], 'f');
	munmap(to, LEN);
}

static void discarded_memory_is_not_what_was_registered(void **state)
{
	for (int i = 0; i < 50; i++) {
		int slot = read_into(t.p, LEN);

		assert_true(slot >= 0);
		assert_int_equal(madvise(t.p, LEN, MADV_DONTNEED), 0);
		if (i % 2)
			assert_int_equal(hmm_mm_note(t.mm, HMM_NOTE_DISCARD, (uint64_t)t.p,
						     (uint64_t)t.p + LEN),
					 0);
		t.p[0] = 'd';
		slot = uring_cache_get(t.cache, t.p, PAGE);
		/*
		 * Used once while a worker of io_uring's lives, unless the program tells that the
		 * discard is over.
		 */
		assert_true(slot >= 0);
		uring_cache_put(t.cache, slot);
		assert_int_equal(written_from(t.p), 'd');
		assert_int_equal(pwrite(t.fd, "f", 1, 0), 1);
	}
	assert_true(stats().misses > 1);
}

/*
 * Nothing shows them once the page has been touched again: the cache's header says so, and what to
 * do.
 */
static void guard_pages_are_seen_when_they_are_told_of(void **state)
{
	int slot = read_into(t.p, LEN);

	assert_true(slot >= 0);
	if (madvise(t.p, LEN, 102)) {
		print_message("no MADV_GUARD_INSTALL\n");
		skip();
	}
	assert_int_equal(madvise(t.p, LEN, 103), 0);
	memset(t.p, 'n', LEN);
	assert_int_equal(read_into(t.p, LEN), slot);
	assert_int_equal(t.p[0], 'n');
	assert_int_equal(
		hmm_mm_note(t.mm, HMM_NOTE_OWN_DISCARD, (uint64_t)t.p, (uint64_t)t.p + LEN), 0);
	assert_true(read_into(t.p, LEN) >= 0);
	assert_int_equal(t.p[0], 'f');
	assert_int_equal(stats().misses, 2);
}

static void a_truncated_memory_file_is_seen(void **state)
{
	int fd = memfd_create("buffers", MFD_CLOEXEC);
	char *p;

	assert_int_equal(ftruncate(fd, LEN), 0);
	p = mmap(NULL, LEN, RW, MAP_SHARED, fd, 0);
	for (int i = 0; i < 20; i++) {
		memset(p, 'n', LEN);
		assert_true(read_into(p, LEN) >= 0);
		assert_int_equal(p[0], 'f');
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(ftruncate(fd, LEN), 0);
	}
	assert_int_equal(stats().misses, 20);
	munmap(p, LEN);
	close(fd);
}

static void permission_that_went_is_seen(void **state)
{
	assert_true(read_into(t.p, LEN) >= 0);
	assert_int_equal(mprotect(t.p, LEN, PROT_READ), 0);
	assert_int_equal(read_into(t.p, LEN), -EOPNOTSUPP);
	assert_int_equal(mprotect(t.p, LEN, RW), 0);
	memset(t.p, 'n', LEN);
	assert_true(read_into(t.p, LEN) >= 0);
	assert_int_equal(t.p[0], 'f');
}

/* What URING_CACHE_TRUSTED trusts in. */
static void trusted_programs_are_not_asked_for_permissions(void **state)
{
	int slot = read_into(t.p, LEN);

	assert_int_equal(mprotect(t.p, LEN, PROT_READ), 0);
	assert_int_equal(read_into(t.p, LEN), slot);
	map_anew(t.p, LEN);
	memset(t.p, 'n', LEN);
	assert_true(read_into(t.p, LEN) >= 0);
	assert_int_equal(t.p[0], 'f');
}

/* A pinned page stays the parent's: fork does not cost the registration. */
static void a_fork_leaves_the_buffer_registered(void **state)
{
	int slot = read_into(t.p, LEN), status;
	pid_t pid;

	memset(t.p, 'n', LEN);
	pid = fork();
	if (!pid) {
		memset(t.p, 'c', LEN);
		_exit(uring_cache_get(t.cache, t.p, LEN) == -ESRCH ? 0 : 1);
	}
	assert_int_equal(read_into(t.p, LEN), slot);
	assert_int_equal(t.p[0], 'f');
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	t.p[0] = 'w';
	assert_int_equal(written_from(t.p), 'w');
	assert_int_equal(stats().misses, 1);
}

/* Pages that do not touch, so that each gets a slot of its own. */
static char *apart(int i)
{
	return t.p + (size_t)i * 3 * PAGE;
}

static void the_least_recently_used_makes_room(void **state)
{
	int slot[SLOTS];

	for (int i = 0; i < SLOTS; i++)
		slot[i] = read_into(apart(i), PAGE);
	assert_int_equal(read_into(t.p, PAGE), slot[0]);
	assert_int_equal(read_into(apart(SLOTS), PAGE), slot[1]);
	assert_int_equal(stats().evicted, 1);
	assert_int_equal(stats().registered, SLOTS);
	assert_int_equal(read_into(t.p, PAGE), slot[0]);
}

static void what_is_in_use_stays(void **state)
{
	int slot[SLOTS];

	for (int i = 0; i < SLOTS; i++)
		slot[i] = uring_cache_get(t.cache, apart(i), PAGE);
	assert_int_equal(uring_cache_get(t.cache, apart(SLOTS), PAGE), -EBUSY);
	/* Also when its memory is gone, until it is given back. */
	map_anew(t.p, PAGE);
	uring_cache_begin(t.cache);
	assert_int_equal(stats().registered, SLOTS);
	assert_int_equal(uring_cache_get(t.cache, t.p, PAGE), -EBUSY);
	uring_cache_put(t.cache, slot[0]);
	uring_cache_begin(t.cache);
	assert_int_equal(stats().registered, SLOTS - 1);
	assert_int_equal(stats().dead, 1);
	assert_int_equal(uring_cache_get(t.cache, t.p, PAGE), slot[0]);
	for (int i = 0; i < SLOTS; i++)
		uring_cache_put(t.cache, slot[i]);
}

static void what_cannot_be_kept_is_refused(void **state)
{
	const char *dir = access("/var/tmp", W_OK) ? "/tmp" : "/var/tmp";
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char *file;

	assert_int_equal(ftruncate(fd, LEN), 0);
	file = mmap(NULL, LEN, RW, MAP_SHARED, fd, 0);
	assert_int_equal(uring_cache_get(t.cache, file, PAGE), -EOPNOTSUPP);
	assert_int_equal(uring_cache_get(t.cache, t.p - PAGE, PAGE), -EOPNOTSUPP);
	assert_int_equal(uring_cache_get(t.cache, (char *)PAGE, PAGE), -EFAULT);
	assert_int_equal(uring_cache_get(t.cache, t.p, 0), -EINVAL);
	assert_int_equal(uring_cache_get(t.cache, t.p, SIZE_MAX), -EINVAL);
	assert_int_equal(stats().refused, 2);
	assert_int_equal(stats().registered, 0);
	munmap(file, LEN);
	close(fd);
}

struct churn {
	_Atomic bool stop;
	_Atomic unsigned long times;
	struct hmm_mm *mm;
};

/* Unmaps memory that is watched, all the time: something is in flight at nearly every question. */
static void *churn_thread(void *arg)
{
	struct churn *c = arg;

	while (!c->stop) {
		char *p = mmap(NULL, 64 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		p[0] = 1;
		munmap(p, 64 * PAGE);
		c->times++;
	}
	return NULL;
}

static void changes_elsewhere_cost_no_registration(void **state)
{
	struct churn c = { .mm = t.mm };
	pthread_t thread;
	int slot = read_into(t.p, LEN);

	assert_int_equal(pthread_create(&thread, NULL, churn_thread, &c), 0);
	for (unsigned int i = 0; i < 2000 || c.times < 200; i++)
		assert_int_equal(read_into(t.p, PAGE), slot);
	c.stop = true;
	pthread_join(thread, NULL);
	assert_int_equal(stats().misses, 1);
	assert_int_equal(stats().dead, 0);
}

/* A buffer changes hands in another thread between two operations. */
static void *remap_thread(void *arg)
{
	map_anew(t.p, LEN);
	memset(t.p, 'n', LEN);
	return NULL;
}

static void what_other_threads_do_is_seen(void **state)
{
	for (int i = 0; i < 200; i++) {
		pthread_t thread;

		assert_true(read_into(t.p, LEN) >= 0);
		assert_int_equal(t.p[0], 'f');
		assert_int_equal(pthread_create(&thread, NULL, remap_thread, NULL), 0);
		pthread_join(thread, NULL);
	}
	assert_int_equal(stats().misses, 200);
}

/*
 * Linked in the place of liburing's: the buffer changes hands just before or just after it is
 * pinned.
 */
static enum { NEVER, BEFORE, AFTER } change;
int __real_io_uring_register_buffers_update_tag(struct io_uring *ring, unsigned int off,
						const struct iovec *iovecs, const __u64 *tags,
						unsigned int nr);
int __wrap_io_uring_register_buffers_update_tag(struct io_uring *ring, unsigned int off,
						const struct iovec *iovecs, const __u64 *tags,
						unsigned int nr);

int __wrap_io_uring_register_buffers_update_tag(struct io_uring *ring, unsigned int off,
						const struct iovec *iovecs, const __u64 *tags,
						unsigned int nr)
{
	int now = iovecs->iov_base ? change : NEVER, ret;

	if (now)
		change = NEVER;
	if (now == BEFORE)
		map_anew(t.p, LEN);
	ret = __real_io_uring_register_buffers_update_tag(ring, off, iovecs, tags, nr);
	if (now == AFTER)
		map_anew(t.p, LEN);
	if (now)
		memset(t.p, 'n', LEN);
	return ret;
}

/*
 * cache			program
 * faulted
 *				unmaps, maps anew
 * pins
 *				unmaps, maps anew
 * asks: begin again
 */
static void a_buffer_that_changes_while_it_is_registered_is_not_kept(void **state)
{
	for (int i = 0; i < 20; i++) {
		change = i % 2 ? BEFORE : AFTER;
		assert_true(read_into(t.p, LEN) >= 0);
		assert_int_equal(change, NEVER);
		assert_int_equal(t.p[0], 'f');
		assert_int_equal(t.p[LEN - 1], 'f');
		/* It is kept as it is now. */
		assert_int_equal(stats().retries, i + 1);
		assert_true(read_into(t.p, LEN) >= 0);
		assert_int_equal(stats().misses, i + 1);
		map_anew(t.p, LEN);
	}
}

static void options_are_checked(void **state)
{
	struct uring_cache *c;

	assert_int_equal(uring_cache_create(t.mm, &t.ring, 0, 0, &c), -EINVAL);
	assert_int_equal(uring_cache_create(t.mm, &t.ring, 16385, 0, &c), -EINVAL);
	assert_int_equal(uring_cache_create(t.mm, &t.ring, 4, 2, &c), -EINVAL);
	/* The ring has a table already. */
	assert_int_equal(uring_cache_create(t.mm, &t.ring, 4, 0, &c), -EBUSY);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_buffer_is_registered_once),
		T(a_registration_that_is_kept_blindly_reads_into_the_old_page),
		T(memory_mapped_anew_is_what_is_read_into),
		T(memory_mapped_anew_is_what_is_written_from),
		T(a_moved_buffer_is_not_where_it_was),
		T(discarded_memory_is_not_what_was_registered),
		T(guard_pages_are_seen_when_they_are_told_of),
		T(a_truncated_memory_file_is_seen),
		T(permission_that_went_is_seen),
		cmocka_unit_test_setup_teardown(trusted_programs_are_not_asked_for_permissions,
						setup_trusted, teardown),
		T(a_fork_leaves_the_buffer_registered),
		T(the_least_recently_used_makes_room),
		T(what_is_in_use_stays),
		T(what_cannot_be_kept_is_refused),
		T(changes_elsewhere_cost_no_registration),
		T(what_other_threads_do_is_seen),
		T(a_buffer_that_changes_while_it_is_registered_is_not_kept),
		cmocka_unit_test_setup_teardown(
			a_buffer_that_changes_while_it_is_registered_is_not_kept, setup_trusted,
			teardown),
		T(options_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
