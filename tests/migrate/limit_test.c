// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A process that has all the memory that its cgroup may have: what is in device memory comes home
 * without a fresh page.
 */
#include "common/devmem.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#define PAGES 8192UL
#define MARGIN (8UL * MIB) /* of which the library and the kernel may take something */

/* Of the two versions of cgroups. */
struct names {
	const char *root;
	const char *controllers; /* says "memory" if it has the controller; NULL: it is that */
	const char *used;
	const char *limit;
};

static const struct names versions[] = {
	{ "/sys/fs/cgroup", "cgroup.subtree_control", "memory.current", "memory.max" },
	{ "/sys/fs/cgroup/memory", NULL, "memory.usage_in_bytes", "memory.limit_in_bytes" },
};

static const struct names *group;
static char folder[128];

static bool read_file(const char *dir, const char *name, char *text, size_t size)
{
	char path[256];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, size - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	return n > 0;
}

static bool write_number(const char *name, unsigned long number)
{
	char path[256];
	bool written;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "we");
	if (!f)
		return false;
	written = fprintf(f, "%lu", number) > 0;
	return !fclose(f) && written;
}

static bool has_memory(const struct names *g)
{
	char text[256];

	return read_file(g->root, g->controllers ? g->controllers : g->used, text, sizeof(text)) &&
	       (!g->controllers || strstr(text, "memory"));
}

static int setup(void **state)
{
	(void)state;
	group = NULL;
	for (size_t i = 0; i < 2 && !group; i++) {
		snprintf(folder, sizeof(folder), "%s/hmm-test-%d", versions[i].root, getpid());
		if (has_memory(&versions[i]) && !mkdir(folder, 0755))
			group = &versions[i];
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	/* The kernel needs a moment after the process has ended. */
	for (int i = 0; i < 10000 && group && rmdir(folder); i++)
		usleep(1000);
	return 0;
}

static unsigned long used(void)
{
	char text[64];

	return read_file(folder, group->used, text, sizeof(text)) ? strtoul(text, NULL, 10) : 0;
}

/* In the child. Half of it comes home by touches, half by a call. */
static int come_home(uint32_t flags, bool copies)
{
	static struct with_devmem w;
	unsigned long limit;
	char *p;

	if (!write_number("cgroup.procs", (unsigned long)getpid()))
		return 77;
	if (copies)
		devmem_open_copying(&w, PAGES * PAGE, flags, 0);
	else
		devmem_open(&w, PAGES * PAGE, flags);
	p = map_anon(PAGES * PAGE, RW);
	madvise(p, PAGES * PAGE, MADV_NOHUGEPAGE);
	number(p, PAGES, 1);
	if (to_device(&w, p, PAGES) || w.result.moved != PAGES)
		return 1;
	limit = used() + MARGIN;
	if (limit < PAGES * PAGE || !write_number(group->limit, limit))
		return 2;
	for (size_t i = 0; i < PAGES / 2; i++) {
		if (*(volatile unsigned int *)(p + i * PAGE) != i + 1)
			return 3;
	}
	if (to_system(&w, p, PAGES))
		return 4;
	for (size_t i = 0; i < PAGES; i++) {
		if (*(volatile unsigned int *)(p + i * PAGE) != i + 1)
			return 5;
	}
	return used() <= limit ? 0 : 6;
}

static void comes_home(uint32_t flags, bool copies)
{
	int status;
	pid_t pid;

	if (!group)
		skip();
	pid = fork();
	if (!pid)
		_exit(come_home(flags, copies));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void from_private_memory(void **state)
{
	(void)state;
	comes_home(0, false);
}

static void from_a_device_that_copies(void **state)
{
	(void)state;
	comes_home(HMM_DEVMEM_BACKED, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(from_private_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(from_a_device_that_copies, setup, teardown),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
