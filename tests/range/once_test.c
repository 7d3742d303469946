// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Memory that nobody can watch is used once: each fault ends, each fresh entry is accepted, none
 * that is not fresh.
 */
#include "common/mirror.h"

#include "files/mapping.h"
#include "range/once.h"

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#define TIMES 100

static struct mirror m;

static void expect_used_once(const char *p, size_t pages)
{
	int stood = 0;

	for (int i = 0; i < TIMES; i++) {
		assert_int_equal(fault(&m, p, pages, REQ_READ), 0);
		assert_true(all_flags(&m, pages, VALID) || all_flags(&m, pages, VALID | WRITE));
		assert_true(transient(&m, 0));
		stood += hmm_range_check(&m.range, HMM_CHECK_ALL) == 0;
	}
	assert_int_equal(stood, TIMES);
}

static int reopen(int fd, int flags)
{
	char path[64];
	int other;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	other = open(path, flags);
	assert_true(other >= 0);
	close(fd);
	return other;
}

static char *map_for_reading(int fd)
{
	char *p = map_fd(4 * PAGE, PROT_READ, MAP_SHARED, fd, 0);

	assert_non_null(p);
	return p;
}

static void a_shared_file_opened_for_reading(void **state)
{
	char path[32];
	int fd = make_file(path, 4 * PAGE);
	char *p = map_for_reading(reopen(fd, O_RDONLY));

	(void)state;
	expect_used_once(p, 4);
	munmap(p, 4 * PAGE);
	unlink(path);
}

static void shared_memory_opened_for_reading(void **state)
{
	char *p = map_for_reading(reopen(make_memfd(4 * PAGE, 0), O_RDONLY));

	(void)state;
	expect_used_once(p, 4);
	munmap(p, 4 * PAGE);
}

static void a_memfd_sealed_for_writing(void **state)
{
	int fd = make_memfd(4 * PAGE, MFD_ALLOW_SEALING);
	char *p;

	(void)state;
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
	p = map_for_reading(fd);
	for (int i = 0; i < TIMES; i++) {
		assert_int_equal(fault(&m, p, 4, REQ_READ), 0);
		assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_ALL), 0);
	}
	munmap(p, 4 * PAGE);
	close(fd);
}

/* No event tells of it: nothing of the mapping is registered. */
static void another_mapping_in_its_place_is_refused(void **state)
{
	char path[32];
	int fd = reopen(make_file(path, 4 * PAGE), O_RDONLY);
	int other = reopen(make_memfd(4 * PAGE, 0), O_RDONLY);
	char *p = map_for_reading(fd);

	(void)state;
	expect_used_once(p, 4);
	assert_ptr_equal(
		mmap(p, 4 * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED | MAP_POPULATE, other, 0), p);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_ALL), -ESTALE);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_VMA), -ESTALE);
	expect_used_once(p, 4);
	/* less permission, a hole in the middle */
	assert_int_equal(mprotect(p, PAGE, PROT_NONE), 0);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_ALL), -ESTALE);
	assert_int_equal(mprotect(p, PAGE, PROT_READ), 0);
	expect_used_once(p, 4);
	munmap(p + PAGE, PAGE);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_ALL), -ESTALE);
	munmap(p, 4 * PAGE);
	unlink(path);
	close(fd);
	close(other);
}

/* As a program that tracks its own writes has it. -1: this kernel cannot. */
static int watch_elsewhere(char *p, uint64_t features, uint64_t mode)
{
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1 /* user mode only */);
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct uffdio_register r = { .range = { at(p), 4 * PAGE }, .mode = mode };

	if (uffd < 0)
		return -1;
	if (!ioctl(uffd, UFFDIO_API, &api) && !ioctl(uffd, UFFDIO_REGISTER, &r))
		return uffd;
	close(uffd);
	return -1;
}

static void memory_of_another_userfaultfd(void **state)
{
	char *p = map_anon(4 * PAGE, RW);
	int uffd;

	(void)state;
	memset(p, 1, 4 * PAGE);
	uffd = watch_elsewhere(p, 0, UFFDIO_REGISTER_MODE_MISSING);
	assert_true(uffd >= 0);
	expect_used_once(p, 4);
	/* nothing is kept of what no event says has gone */
	assert_int_equal(m.mm->files->n_mappings, 0);
	close(uffd);
	munmap(p, 4 * PAGE);
}

static bool holds_nothing(struct hmm_interval_notifier *ni, uint64_t start, uint64_t end,
			  void *priv)
{
	(void)ni, (void)start, (void)end, (void)priv;
	return false;
}

/* Nothing has to be killed before its memory is registered: its sequence stays. */
static const struct hmm_interval_notifier_ops quiet_ops = { .size = sizeof(quiet_ops),
							    .invalidate = on_invalidate,
							    .holds = holds_nothing };

/*
 * Registered by somebody is not watched by us. Which page is there the kernel tells the privileged
 * alone.
 */
static void another_page_in_its_place_is_refused(void **state)
{
	char *p = map_anon(4 * PAGE, RW);
	struct iovec held = { p, 4 * PAGE };
	struct hmm_range older;
	int uffd, pipes[2];

	(void)state;
	hmm_interval_notifier_remove(m.ni);
	assert_int_equal(hmm_interval_notifier_insert(m.mm, PAGE, (1ULL << 56) - 2 * PAGE,
						      &quiet_ops, &m, &m.ni),
			 0);
	memset(p, 1, 4 * PAGE);
	uffd = watch_elsewhere(p, UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED,
			       UFFDIO_REGISTER_MODE_WP);
	if (uffd < 0 || mm_pagemap(m.mm)->pfns_hidden) {
		puts("no WP_ASYNC, or page frame numbers are hidden");
		skip();
	}
	expect_used_once(p, 4);
	older = m.range;
	/* The pages are held, or the same could come back. */
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(vmsplice(pipes[1], &held, 1, 0), 4 * PAGE);
	assert_int_equal(madvise(p, 4 * PAGE, MADV_DONTNEED), 0);
	memset(p, 3, 4 * PAGE);
	assert_int_equal(hmm_range_check(&older, HMM_CHECK_ALL), -ESTALE);
	/* nor does a younger fault of the same range make the older entry good */
	expect_used_once(p, 4);
	assert_int_equal(hmm_range_check(&older, HMM_CHECK_ALL), -ESTALE);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_ALL), 0);
	close(pipes[0]);
	close(pipes[1]);
	close(uffd);
	munmap(p, 4 * PAGE);
}

/* What could not be watched and now is, is judged as such again. */
static void what_is_watched_later_is_judged_by_events(void **state)
{
	char *p = map_anon(4 * PAGE, RW);
	int uffd;

	(void)state;
	memset(p, 1, 4 * PAGE);
	uffd = watch_elsewhere(p, 0, UFFDIO_REGISTER_MODE_MISSING);
	assert_true(uffd >= 0);
	expect_used_once(p, 4);
	close(uffd);
	assert_int_equal(fault(&m, p, 4, REQ_READ), 0);
	assert_false(transient(&m, 0));
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_ALL), 0);
	munmap(p, 4 * PAGE);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_ALL), -ESTALE);
}

static int unlinked_as_nobody(void)
{
	char path[32];
	char *p;
	int fd;
	int stood = 0;

	if (chdir("/tmp"))
		return 1;
	fd = make_file(path, 4 * PAGE);
	p = map_for_reading(fd);
	unlink(path);
	close(fd);
	mirror_open(&m, 0);
	for (int i = 0; i < TIMES; i++) {
		if (fault(&m, p, 4, REQ_READ) || !transient(&m, 0))
			return 2;
		stood += !hmm_range_check(&m.range, HMM_CHECK_ALL);
	}
	mirror_close(&m);
	return stood == TIMES ? 0 : 3;
}

static void an_unlinked_file_without_privilege(void **state)
{
	(void)state;
	assert_int_equal(in_child(unlinked_as_nobody, true), 0);
}

static int setup(void **state)
{
	(void)state;
	mirror_open(&m, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mirror_close(&m);
	return 0;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_shared_file_opened_for_reading),
		T(shared_memory_opened_for_reading),
		T(a_memfd_sealed_for_writing),
		T(another_mapping_in_its_place_is_refused),
		T(memory_of_another_userfaultfd),
		T(another_page_in_its_place_is_refused),
		T(what_is_watched_later_is_judged_by_events),
		cmocka_unit_test(an_unlinked_file_without_privilege),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
