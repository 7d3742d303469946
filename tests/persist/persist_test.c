// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* hmm_persist() away from persistent memory; on it, tests/dax has the crash test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <hmm/hmm.h>

#include "common/apart.h"
#include "persist/flush.h"

#define PAGE 4096UL

static struct hmm_mm *mm;

static int setup(void **state)
{
	return hmm_mm_attach(NULL, &mm);
}

static int teardown(void **state)
{
	hmm_mm_detach(mm);
	return 0;
}

static char *map_file(int flags)
{
	char path[] = "persist-XXXXXX";
	int fd = mkstemp(path);
	char *p;

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(ftruncate(fd, 4 * PAGE), 0);
	p = map_fd_apart(4 * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	close(fd);
	return p;
}

static void a_plain_file_is_synced(void **state)
{
	enum hmm_persist_means means = HMM_PERSIST_FLUSH;
	char *p = map_file(MAP_SHARED);

	p[100] = 1;
	assert_int_equal(hmm_persist(mm, (uintptr_t)p + 100, (uintptr_t)p + 101, &means), 0);
	assert_int_equal(means, HMM_PERSIST_MSYNC);
	assert_int_equal(hmm_persist(mm, (uintptr_t)p, (uintptr_t)p + 4 * PAGE, NULL), 0);
	munmap(p, 4 * PAGE);
}

static void memory_without_storage_is_refused(void **state)
{
	char *anon = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *private = map_file(MAP_PRIVATE);

	assert_int_equal(hmm_persist(mm, (uintptr_t)anon, (uintptr_t)anon + 1, NULL), -EOPNOTSUPP);
	assert_int_equal(hmm_persist(mm, (uintptr_t) private, (uintptr_t) private + 1, NULL),
			 -EOPNOTSUPP);
	munmap(anon, PAGE);
	munmap(private, 4 * PAGE);
}

static void a_hole_and_an_empty_range_are_errors(void **state)
{
	char *p = map_file(MAP_SHARED);

	munmap(p + PAGE, PAGE);
	assert_int_equal(hmm_persist(mm, (uintptr_t)p, (uintptr_t)p + 4 * PAGE, NULL), -EFAULT);
	assert_int_equal(hmm_persist(mm, (uintptr_t)p, (uintptr_t)p, NULL), -EINVAL);
	assert_int_equal(hmm_persist(mm, UINT64_MAX, 4096, NULL), -EINVAL);
	munmap(p, PAGE);
	munmap(p + 2 * PAGE, 2 * PAGE);
}

static void flushing_keeps_the_bytes(void **state)
{
	static char buf[1000];

	if (!flush_available())
		skip();
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (char)i;
	flush_range((uintptr_t)buf + 3, (uintptr_t)buf + 997);
	for (size_t i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], (char)i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_file_is_synced),
		cmocka_unit_test(memory_without_storage_is_refused),
		cmocka_unit_test(a_hole_and_an_empty_range_are_errors),
		cmocka_unit_test(flushing_keeps_the_bytes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
