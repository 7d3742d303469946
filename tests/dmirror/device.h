/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * device: the test device as a program uses it. The object that stands in front of libc's functions
 * is linked into the test.
 */
#ifndef TESTS_DMIRROR_DEVICE_H
#define TESTS_DMIRROR_DEVICE_H

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
#include <sys/wait.h>
#include <unistd.h>

#include "common/apart.h"
#include "dmirror/abi.h"

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

static inline int device_open(unsigned int n)
{
	char name[] = "/dev/hmm_dmirror0";
	int fd;

	name[sizeof(name) - 2] = (char)('0' + n);
	fd = open(name, O_RDWR);
	assert_true(fd >= 0);
	return fd;
}

/* -errno, or 0 with the command's results in *cmd. */
static inline int device_do(int fd, unsigned long request, const void *addr, size_t pages,
			    void *ptr, struct dmirror_command *cmd)
{
	*cmd = (struct dmirror_command){ .addr = (uintptr_t)addr,
					 .ptr = (uintptr_t)ptr,
					 .npages = pages,
					 .cpages = 77,
					 .faults = 77 };
	return ioctl(fd, request, cmd) ? -errno : 0;
}

static inline void device_did(int fd, unsigned long request, const void *addr, size_t pages,
			      void *ptr)
{
	struct dmirror_command cmd;

	assert_int_equal(device_do(fd, request, addr, pages, ptr, &cmd), 0);
}

/* Reads everything and says in how many passes. */
static inline int device_read(int fd, const void *addr, size_t pages, void *ptr)
{
	struct dmirror_command cmd;

	assert_int_equal(device_do(fd, DMIRROR_READ, addr, pages, ptr, &cmd), 0);
	assert_int_equal(cmd.cpages, pages);
	return (int)cmd.faults;
}

static inline uint8_t device_sees(int fd, const void *page)
{
	uint8_t byte = 0xee;

	device_did(fd, DMIRROR_SNAPSHOT, page, 1, &byte);
	return byte;
}

static inline char *anonymous(size_t bytes)
{
	return map_apart(bytes, PROT_READ | PROT_WRITE);
}

/* Writes words that tell each place and the round. */
static inline void write_words(void *p, size_t bytes, uint64_t round)
{
	uint64_t *word = p;

	for (size_t i = 0; i < bytes / sizeof(*word); i++)
		word[i] = round << 32 | i;
}

static inline void check_words(const void *p, size_t bytes, uint64_t round)
{
	const uint64_t *word = p;

	for (size_t i = 0; i < bytes / sizeof(*word); i++)
		if (word[i] != (round << 32 | i))
			fail_msg("word %zu is %#lx", i, (unsigned long)word[i]);
}

/* A child that must end with status 0. */
static inline void check_child(pid_t pid)
{
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

#endif
