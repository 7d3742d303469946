// SPDX-License-Identifier: GPL-2.0
/*
 * dax-persist-test: what a device wrote and was told is durable survives the machine being killed.
 *
 *	dax-persist-test write FILE	writes records through the device, says "durable N" after each that was persisted
 *	dax-persist-test check FILE N	finds records 0 to N, whole
 *	dax-persist-test plain FILE	as write, without MAP_SYNC
 *	dax-persist-test lose FILE	writes without MAP_SYNC and persists nothing: the control, which must lose something
 *
 * The device is libhmm's, with --kernel first the one in uhmm_oracle.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target.h"

#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif

#define PAGES 4096u
#define PAGE 4096u
#define STRIDE 1237u /* odd: visits every page once, far from the one before */

static int complain(const char *what)
{
	fprintf(stderr, "dax-persist-test: %s: %s\n", what, strerror(errno));
	return 1;
}

/* A record names itself in every word, so that a torn one shows. */
static void record_fill(uint64_t *page, uint64_t number)
{
	size_t i;

	for (i = 0; i < PAGE / sizeof(*page); i++)
		page[i] = (number + 1) * 0x9e3779b97f4a7c15 ^ i;
}

static size_t place_of(uint64_t number)
{
	return number * STRIDE % PAGES * (size_t)PAGE;
}

/* A file whose size is durable and that has no blocks. */
static int create(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd >= 0 && (ftruncate(fd, (off_t)PAGES * PAGE) || fsync(fd))) {
		close(fd);
		fd = -1;
	}
	if (fd >= 0)
		sync();
	return fd;
}

static int write_records(const struct target_ops *ops, const char *path, bool sync_map, bool lose)
{
	static uint64_t record[PAGE / sizeof(uint64_t)];
	int flags = sync_map ? MAP_SHARED_VALIDATE | MAP_SYNC : MAP_SHARED, fd = create(path);
	struct target *t;
	uint64_t i, addr;
	void *map;

	if (fd < 0)
		return complain(path);
	map = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (map == MAP_FAILED)
		return complain("mmap");
	errno = -ops->mirror((uintptr_t)map, (size_t)PAGES * PAGE, &t);
	if (errno)
		return complain("mirror");
	for (i = 0; i < PAGES; i++) {
		addr = (uintptr_t)map + place_of(i);
		record_fill(record, i);
		errno = -ops->access(t, addr, record, PAGE, true, NULL);
		if (errno)
			return complain("device write");
		errno = lose ? 0 : -ops->persist(t, addr, PAGE);
		if (errno)
			return complain("persist");
		printf("durable %llu.\n", (unsigned long long)i);
	}
	pause(); /* to be killed */
	return 0;
}

static int check_records(const char *path, uint64_t last)
{
	static uint64_t record[PAGE / sizeof(uint64_t)], want[PAGE / sizeof(uint64_t)];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t i, lost = 0;

	if (fd < 0)
		return complain(path);
	for (i = 0; i <= last && i < PAGES; i++) {
		record_fill(want, i);
		if (pread(fd, record, PAGE, place_of(i)) != PAGE)
			return complain("pread");
		lost += !!memcmp(record, want, PAGE);
	}
	printf("%llu of %llu records that were said to be durable are lost\n",
	       (unsigned long long)lost, (unsigned long long)i);
	return lost ? 3 : 0;
}

int main(int argc, char **argv)
{
	const struct target_ops *ops = &target_libhmm;
	const char *why;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1 && !strcmp(argv[1], "--kernel")) {
		ops = &target_kernel;
		argc--;
		argv++;
	}
	if (argc == 4 && !strcmp(argv[1], "check"))
		return check_records(argv[2], strtoull(argv[3], NULL, 10));
	if (argc != 3 ||
	    (strcmp(argv[1], "write") && strcmp(argv[1], "plain") && strcmp(argv[1], "lose"))) {
		fprintf(stderr, "usage: dax-persist-test [--kernel] write|plain|lose FILE, or "
				"check FILE N\n");
		return 2;
	}
	why = ops->probe();
	if (why) {
		fprintf(stderr, "dax-persist-test: %s\n", why);
		return 77;
	}
	return write_records(ops, argv[2], !strcmp(argv[1], "write"), !strcmp(argv[1], "lose"));
}
