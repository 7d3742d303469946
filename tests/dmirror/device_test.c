// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The files and commands of the test device that need no device memory. */
#include "dmirror/device.h"

#include <linux/userfaultfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static void names(void **state)
{
	int fd;

	assert_int_equal(open("/dev/hmm_dmirror4", O_RDWR), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(open("/dev/hmm_dmirror01", O_RDWR), -1);
	fd = openat(AT_FDCWD, "/dev/hmm_dmirror0", O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	fd = device_open(1);
	assert_int_equal(fcntl(fd, F_GETFD), 0);
	close(fd);
	fd = open("/dev/null", O_RDWR);
	assert_int_equal(ioctl(fd, DMIRROR_READ, NULL), -1);
	assert_int_equal(errno, ENOTTY);
	close(fd);
}

static void bad_commands(void **state)
{
	const int fd = device_open(0);
	char *p = anonymous(PAGE);
	char *buffer = anonymous(PAGE);
	struct dmirror_command cmd;

	assert_int_equal(device_do(fd, DMIRROR_READ, p + 1, 1, buffer, &cmd), -EINVAL);
	assert_int_equal(device_do(fd, DMIRROR_READ, p, 0, buffer, &cmd), -EINVAL);
	assert_int_equal(device_do(fd, DMIRROR_READ, p, SIZE_MAX / PAGE, buffer, &cmd), -EINVAL);
	assert_int_equal(device_do(fd, DMIRROR_IOC(63), p, 1, buffer, &cmd), -EINVAL);
	assert_int_equal(ioctl(fd, DMIRROR_READ, (void *)8), -1);
	assert_int_equal(errno, EFAULT);
	/* Results are written on success only. */
	assert_int_equal(device_do(fd, DMIRROR_READ, p, 1, (void *)8, &cmd), -EFAULT);
	assert_int_equal(cmd.cpages, 77);
	assert_int_equal(cmd.faults, 77);
	munmap(p, PAGE);
	assert_int_equal(device_do(fd, DMIRROR_READ, p, 1, buffer, &cmd), -EFAULT);
	munmap(buffer, PAGE);
	close(fd);
}

static void passes_are_counted(void **state)
{
	const size_t pages = 1024;
	const int fd = device_open(0);
	char *p = anonymous(pages * PAGE);
	char *buffer = anonymous(pages * PAGE);

	write_words(p, pages * PAGE, 1);
	assert_int_equal(device_read(fd, p, pages, buffer), 1);
	check_words(buffer, pages * PAGE, 1);
	assert_int_equal(device_read(fd, p, pages, buffer), 0);
	/* A hole in what the device has: one pass over the rest. */
	assert_ptr_equal(mmap(p + 9 * PAGE, PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 p + 9 * PAGE);
	assert_int_equal(device_read(fd, p, 9, buffer), 0);
	assert_int_equal(device_read(fd, p, pages, buffer), 1);
	assert_int_equal(buffer[9 * PAGE], 0);
	munmap(p, pages * PAGE);
	munmap(buffer, pages * PAGE);
	close(fd);
}

static void writes(void **state)
{
	const int fd = device_open(0);
	char *p = anonymous(4 * PAGE);
	char *buffer = anonymous(4 * PAGE);
	struct dmirror_command cmd;

	write_words(buffer, 4 * PAGE, 2);
	device_did(fd, DMIRROR_WRITE, p, 4, buffer);
	check_words(p, 4 * PAGE, 2);
	/* What the device may read it may not write. */
	munmap(p, 4 * PAGE);
	p = mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(device_read(fd, p, 4, buffer), 1);
	assert_int_equal(device_do(fd, DMIRROR_WRITE, p, 4, buffer, &cmd), -EPERM);
	munmap(p, 4 * PAGE);
	munmap(buffer, 4 * PAGE);
	close(fd);
}

/* The descriptors of an opening are counted, whichever way they were made. */
static void duplicates(void **state)
{
	int fd = device_open(0);
	char *p = anonymous(PAGE);
	char *buffer = anonymous(PAGE);
	struct dmirror_command cmd;
	const int other = dup(fd);

	assert_int_equal(device_read(fd, p, 1, buffer), 1);
	assert_int_equal(close(fd), 0);
	assert_int_equal(device_read(other, p, 1, buffer), 0);
	/* A thread of the library may have opened a file meanwhile, and have this number. */
	fd = fcntl(other, F_DUPFD, fd);
	assert_true(fd >= 0);
	assert_int_equal(close(other), 0);
	assert_int_equal(device_read(fd, p, 1, buffer), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(device_do(fd, DMIRROR_READ, p, 1, buffer, &cmd), -EBADF);
	assert_int_equal(close(fd), -1);
	/* The next opening has an empty page table. */
	fd = device_open(0);
	assert_true(fd >= 0);
	assert_int_equal(device_read(fd, p, 1, buffer), 1);
	close(fd);
	munmap(p, PAGE);
	munmap(buffer, PAGE);
}

/* A descriptor that the child inherits mirrors the parent, which the child cannot ask for. */
static void forked_children(void **state)
{
	const int fd = device_open(0);
	char *p = anonymous(PAGE);
	char *buffer = anonymous(PAGE);
	pid_t pid;

	*p = 1;
	assert_int_equal(device_read(fd, p, 1, buffer), 1);
	pid = fork();
	if (!pid) {
		struct dmirror_command cmd;
		const int own = open("/dev/hmm_dmirror0", O_RDWR);

		if (device_do(fd, DMIRROR_READ, p, 1, buffer, &cmd) != -ENOTTY)
			_exit(1);
		*p = 2;
		if (own < 0 || device_do(own, DMIRROR_READ, p, 1, buffer, &cmd) || *buffer != 2)
			_exit(2);
		_exit(cmd.faults != 1 || close(fd) || close(own) ? 3 : 0);
	}
	check_child(pid);
	assert_int_equal(device_read(fd, p, 1, buffer), 1);
	assert_int_equal(*buffer, 1);
	munmap(p, PAGE);
	munmap(buffer, PAGE);
	close(fd);
}

/* A program may close what it does not know. What has the number since stays open. */
static void closed_by_the_program(void **state)
{
	const int fd = device_open(0);
	struct stat ours, other;
	int end = 0;
	int null;

	/* the pipe's other end, which is not the program's */
	assert_int_equal(fstat(fd, &ours), 0);
	while (end < 4096 && (end == fd || fstat(end, &other) || !S_ISFIFO(other.st_mode) ||
			      other.st_dev != ours.st_dev || other.st_ino != ours.st_ino))
		end++;
	assert_true(end < 4096);
	assert_int_equal(syscall(SYS_close, end), 0);
	null = open("/dev/null", O_WRONLY);
	assert_int_equal(dup2(null, end), end);
	assert_int_equal(close(fd), 0);
	assert_true(fcntl(end, F_GETFD) >= 0);
	close(end);
	close(null);
}

static void device_mappings(void **state)
{
	const int fd = device_open(0);
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(device_sees(fd, p), DMIRROR_PAGE_READ);
	assert_int_equal(p[0] | p[2 * PAGE - 1], 0);
	p[PAGE] = 1;
	assert_int_equal(device_sees(fd, p), DMIRROR_PAGE_READ);
	munmap(p, 2 * PAGE);
	close(fd);
}

static void snapshots(void **state)
{
	const int fd = device_open(0);
	char *p = anonymous(4 * PAGE);
	uint8_t seen[4];

	munmap(p + PAGE, PAGE);
	assert_int_equal(mprotect(p + 2 * PAGE, PAGE, PROT_NONE), 0);
	p[3 * PAGE] = 1;
	device_did(fd, DMIRROR_SNAPSHOT, p, 4, seen);
	assert_int_equal(seen[0], DMIRROR_PAGE_NONE);
	assert_int_equal(seen[1], DMIRROR_PAGE_ERROR);
	assert_int_equal(seen[2], DMIRROR_PAGE_ERROR);
	assert_int_equal(seen[3] & ~DMIRROR_PAGE_WRITE, seen[3] & DMIRROR_PAGE_READ);
	munmap(p, 4 * PAGE);
	close(fd);
}

/* Memory of another userfaultfd is used each time anew: nothing tells of its changes. */
static void nothing_is_kept_of_what_is_not_watched(void **state)
{
	const int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	const int fd = device_open(0);
	char *p = anonymous(4 * PAGE);
	char *buffer = anonymous(4 * PAGE);

	assert_true(uffd >= 0);
	assert_int_equal(ioctl(uffd, UFFDIO_API, &api), 0);
	reg.range.start = (uintptr_t)p;
	reg.range.len = 4 * PAGE;
	write_words(p, 4 * PAGE, 3);
	assert_int_equal(ioctl(uffd, UFFDIO_REGISTER, &reg), 0);
	for (uint64_t round = 4; round < 6; round++) {
		write_words(p, 4 * PAGE, round);
		assert_int_equal(device_read(fd, p, 4, buffer), 1);
		check_words(buffer, 4 * PAGE, round);
		write_words(buffer, 4 * PAGE, round + 9);
		device_did(fd, DMIRROR_WRITE, p, 4, buffer);
		check_words(p, 4 * PAGE, round + 9);
	}
	munmap(p, 4 * PAGE);
	munmap(buffer, 4 * PAGE);
	close(fd);
	close(uffd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(bad_commands),
		cmocka_unit_test(passes_are_counted),
		cmocka_unit_test(writes),
		cmocka_unit_test(duplicates),
		cmocka_unit_test(forked_children),
		cmocka_unit_test(closed_by_the_program),
		cmocka_unit_test(device_mappings),
		cmocka_unit_test(snapshots),
		cmocka_unit_test(nothing_is_kept_of_what_is_not_watched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
