// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The symptoms of hmm-troubleshooting(7), made on purpose: the errors are those that the page
 * names.
 */
#include "docs.h"
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define LEN (4 * PAGE)

static struct {
	struct hmm_mm *mm;
	struct hmm_device *dev;
	struct hmm_svm *svm;
} t;

static int open_as(uint32_t max_regions)
{
	struct hmm_mm_options options = HMM_MM_OPTIONS_INIT;

	options.max_regions = max_regions;
	assert_int_equal(hmm_mm_attach(&options, &t.mm), 0);
	assert_int_equal(hmm_device_open(t.mm, "null", 0, &t.dev), 0);
	assert_int_equal(hmm_svm_create(t.mm, t.dev, NULL, &t.svm), 0);
	return 0;
}

static int open_all(void **state)
{
	return open_as(0);
}

static int open_poor(void **state)
{
	return open_as(1);
}

static int close_all(void **state)
{
	hmm_svm_destroy(t.svm);
	hmm_device_destroy(t.dev);
	hmm_mm_detach(t.mm);
	return 0;
}

static int fault(const void *p, int prot)
{
	return hmm_svm_fault(t.svm, (uintptr_t)p, 1, prot);
}

static void another_process_is_EOPNOTSUPP(void **state)
{
	struct hmm_mm_options options = HMM_MM_OPTIONS_INIT;
	struct hmm_mm *mm;

	options.pid = getppid();
	assert_int_equal(hmm_mm_attach(&options, &mm), -EOPNOTSUPP);
}

static void a_forked_child_is_ESRCH(void **state)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(hmm_mm_barrier(t.mm, HMM_FOREVER) != -ESRCH ||
		      fault(&t, PROT_READ) != -ESRCH);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void memory_that_may_not_be_used_is_EFAULT_or_EPERM(void **state)
{
	char *p = room(LEN);

	assert_int_equal(fault(p - PAGE, PROT_READ), -EFAULT);
	assert_int_equal(mprotect(p, LEN, PROT_READ), 0);
	assert_int_equal(fault(p, PROT_READ), 0);
	assert_int_equal(fault(p, RW), -EPERM);
	room_free(p, LEN);
	assert_int_equal(fault(p, PROT_READ), -EFAULT);
}

static void a_budget_that_is_used_up_is_ENOSPC(void **state)
{
	struct hmm_mm_stats stats = { .size = sizeof(stats) };
	char *first = room(LEN);
	char *second = room(LEN);

	assert_int_equal(fault(first, RW), 0);
	assert_int_equal(fault(second, RW), -ENOSPC);
	assert_int_equal(hmm_mm_get_stats(t.mm, &stats), 0);
	assert_int_equal(stats.map_entries, 1);
	room_free(first, LEN);
	/* Another thread may have read the event, and the pump may not have handled it yet. */
	assert_int_equal(hmm_mm_barrier(t.mm, HMM_FOREVER), 0);
	assert_int_equal(fault(second, RW), 0); /* what is unmapped is given back */
	room_free(second, LEN);
}

static void a_move_across_what_is_watched_is_EFAULT(void **state)
{
	char *p = room(2 * LEN);

	/* A neighbour that is alike, but was mapped after the fault. */
	assert_int_equal(mprotect(p + LEN, LEN, PROT_NONE), 0);
	assert_int_equal(fault(p, RW), 0);
	assert_true(replace(p + LEN, LEN));
	assert_ptr_equal(mremap(p, 2 * LEN, 4 * LEN, MREMAP_MAYMOVE), MAP_FAILED);
	assert_int_equal(errno, EFAULT);
	room_free(p, 2 * LEN);
}

static void a_second_mirror_is_EBUSY(void **state)
{
	struct hmm_svm *second;

	assert_int_equal(hmm_svm_create(t.mm, t.dev, NULL, &second), -EBUSY);
}

/* The program's own userfaultfd, asked for @p: 0 or -errno. */
static int own_register(const void *p, int *fd)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)p, LEN },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	*fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);
	assert_true(*fd >= 0);
	assert_int_equal(ioctl(*fd, UFFDIO_API, &api), 0);
	return ioctl(*fd, UFFDIO_REGISTER, &reg) ? -errno : 0;
}

static void a_mapping_has_one_userfaultfd(void **state)
{
	char *ours = room(LEN);
	char *theirs = room(LEN);
	int first, second;

	memset(theirs, 1, LEN);
	assert_int_equal(fault(ours, RW), 0);
	assert_int_equal(own_register(ours, &first), -EBUSY);
	assert_int_equal(own_register(theirs, &second), 0);
	assert_int_equal(fault(theirs, RW), 1); /* used once */
	close(first);
	close(second);
	room_free(ours, LEN);
	room_free(theirs, LEN);
}

static void a_note_ends_what_is_pending(void **state)
{
	struct hmm_mm_stats stats = { .size = sizeof(stats) };
	char *p = room(LEN);

	assert_int_equal(fault(p, RW), 0);
	assert_int_equal(madvise(p, LEN, MADV_DONTNEED), 0);
	assert_int_equal(hmm_mm_note(t.mm, HMM_NOTE_DISCARD, (uintptr_t)p, (uintptr_t)p + LEN), 0);
	assert_int_equal(fault(p, RW), 0);
	assert_int_equal(hmm_mm_get_stats(t.mm, &stats), 0);
	assert_int_equal(stats.discards_pending, stats.discards_settled);
	room_free(p, LEN);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_process_is_EOPNOTSUPP),
		TEST(a_forked_child_is_ESRCH),
		TEST(memory_that_may_not_be_used_is_EFAULT_or_EPERM),
		cmocka_unit_test_setup_teardown(a_budget_that_is_used_up_is_ENOSPC, open_poor,
						close_all),
		TEST(a_move_across_what_is_watched_is_EFAULT),
		TEST(a_second_mirror_is_EBUSY),
		TEST(a_mapping_has_one_userfaultfd),
		TEST(a_note_ends_what_is_pending),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
