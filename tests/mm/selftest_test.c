// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The test at attaching makes holes. Another thread of the program maps memory there at once: it
 * stays that thread's. The log is a fake one that tells of nothing.
 */
#include "common/fake_log.h"
#include "common/mappings.h"
#include "mm/selftest.h"

#include <stdbool.h>
#include <sys/mman.h>

#define TAKEN_MAX 64

/* In the thread that tries. */
static _Thread_local bool on;

static struct {
	unsigned int n;
	char *at[TAKEN_MAX];
} other;

long __real_syscall(long number, ...);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);

/* As the other thread would: a page that the kernel puts into the hole. */
static void take(char *hole)
{
	char *p = mmap(hole, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED)
		return;
	if (p != hole || other.n == TAKEN_MAX) {
		munmap(p, PAGE);
		return;
	}
	*p = (char)(other.n + 1);
	other.at[other.n++] = p;
}

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	const long ret = __real_syscall(number, a, b, c, d, e, f);

	if (!on || ret == -1)
		return ret;
	if (number == SYS_munmap && b == (long)PAGE)
		take((char *)a);
	/* moved, or cut off: what is behind a part that shrank, or where a page was */
	if (number == SYS_mremap)
		take(ret == a ? (char *)a + c : (char *)a);
	return ret;
}

static void what_others_map_in_a_hole_is_theirs(void **state)
{
	struct fake_log *log = fake_log_open();
	struct hmm_mm_options o;
	struct hmm_mm *mm;

	(void)state;
	fake_options(&o, HMM_PROVIDER_BPF);
	assert_int_equal(hmm_mm_attach(&o, &mm), 0);
	on = true;
	/* Nothing was told. */
	assert_int_equal(selftest(mm), -EOPNOTSUPP);
	on = false;
	/* munmap, mremap away, mremap shrink */
	assert_in_range(other.n, 3, TAKEN_MAX - 1);
	for (unsigned int i = 0; i < other.n; i++) {
		assert_int_equal(*other.at[i], (char)(i + 1));
		assert_int_equal(munmap(other.at[i], PAGE), 0);
	}
	hmm_mm_detach(mm);
	fake_log_close(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_others_map_in_a_hole_is_theirs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
