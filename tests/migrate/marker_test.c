// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A scan that write-protects leaves markers where no page is. A marker is no page: a touch there is
 * answered, what is there can migrate, and what is away comes home over it.
 */
#include "common/devmem.h"

#include "kernel/abi/pagemap.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PAGES 16

static void leave_markers(const char *p)
{
	struct pm_scan_arg arg = { .size = sizeof(arg),
				   .flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
				   .start = at(p),
				   .end = at(p) + PAGES * PAGE,
				   .category_mask = PAGE_IS_WRITTEN };
	const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(ioctl(fd, PAGEMAP_SCAN, &arg) >= 0);
	close(fd);
}

/* Memory that is trapped. Its pages have gone out and home. */
static char *trapped(struct with_devmem *w, unsigned int from)
{
	char *p = map_anon(PAGES * PAGE, RW);

	number(p, PAGES, from);
	assert_int_equal(to_device(w, p, PAGES), 0);
	assert_int_equal(to_system(w, p, PAGES), 0);
	return p;
}

static void a_touch_is_answered(void **state)
{
	struct with_devmem w;
	char *p;

	(void)state;
	devmem_open(&w, REGION, 0);
	p = trapped(&w, 1);
	assert_int_equal(madvise(p, PAGES * PAGE, MADV_DONTNEED), 0);
	leave_markers(p);
	for (size_t i = 0; i < PAGES; i++)
		assert_int_equal(*(volatile unsigned int *)(p + i * PAGE), 0);
	number(p, PAGES, 7);
	assert_numbered(p, PAGES, 7);
	munmap(p, PAGES * PAGE);
	devmem_close(&w);
}

static void markers_migrate(void **state)
{
	struct with_devmem w;
	char *p;

	(void)state;
	devmem_open(&w, REGION, 0);
	p = trapped(&w, 1);
	assert_int_equal(madvise(p, PAGES * PAGE, MADV_DONTNEED), 0);
	leave_markers(p);
	/* On a busy machine the discard is pending for longer than a migration waits. */
	for (int i = 0; i < 30000 && away(&w, p, PAGES) < PAGES; i++) {
		to_device(&w, p, PAGES);
		usleep(1000);
	}
	assert_int_equal(away(&w, p, PAGES), PAGES);
	for (size_t i = 0; i < PAGES; i++)
		assert_int_equal(*(volatile unsigned int *)(p + i * PAGE), 0);
	munmap(p, PAGES * PAGE);
	devmem_close(&w);
}

static void pages_come_home_over_them(void **state)
{
	struct with_devmem w;
	char *p;

	(void)state;
	devmem_open(&w, REGION, 0);
	p = trapped(&w, 3);
	assert_int_equal(to_device(&w, p, PAGES), 0);
	assert_int_equal(away(&w, p, PAGES), PAGES);
	leave_markers(p);
	assert_numbered(p, PAGES, 3);
	munmap(p, PAGES * PAGE);
	devmem_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_touch_is_answered),
		cmocka_unit_test(markers_migrate),
		cmocka_unit_test(pages_come_home_over_them),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
