/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What the kernel's test device for HMM understands, as its test program calls it.
 */
#ifndef DMIRROR_ABI_H
#define DMIRROR_ABI_H

#include <stdint.h>
#include <sys/ioctl.h>

struct dmirror_command {
	uint64_t addr;   /* in the program, a multiple of the page size */
	uint64_t ptr;    /* the program's buffer: what the device reads, writes or saw */
	uint64_t npages; /* for DMIRROR_FLAGS: the flags */
	uint64_t cpages; /* out: pages that were copied or moved */
	uint64_t faults; /* out: passes over what the device's page table lacked */
};

#define DMIRROR_IOC(nr) _IOWR('H', nr, struct dmirror_command)

#define DMIRROR_READ DMIRROR_IOC(0)
#define DMIRROR_WRITE DMIRROR_IOC(1)
#define DMIRROR_MIGRATE_TO_DEV DMIRROR_IOC(2)
#define DMIRROR_MIGRATE_TO_SYS DMIRROR_IOC(3)
#define DMIRROR_SNAPSHOT DMIRROR_IOC(4)
#define DMIRROR_EXCLUSIVE DMIRROR_IOC(5)
#define DMIRROR_CHECK_EXCLUSIVE DMIRROR_IOC(6)
#define DMIRROR_RELEASE DMIRROR_IOC(7)
#define DMIRROR_FLAGS DMIRROR_IOC(8)
#define DMIRROR_READ_UNLOCKED DMIRROR_IOC(9)

/* The flag of DMIRROR_FLAGS: of the next migration no large allocation succeeds. */
#define DMIRROR_FAIL_ALLOC 1

/* What a snapshot says of a page: one of the first group, or bits of the others. */
enum dmirror_page {
	DMIRROR_PAGE_ERROR = 0xff,
	DMIRROR_PAGE_NONE = 0,

	DMIRROR_PAGE_READ = 1,
	DMIRROR_PAGE_WRITE = 2,

	DMIRROR_PAGE_PMD = 4,
	DMIRROR_PAGE_PUD = 8,

	DMIRROR_PAGE_ZERO = 0x10,
	DMIRROR_PAGE_PRIVATE = 0x20,
	DMIRROR_PAGE_COHERENT = 0x40,
	DMIRROR_PAGE_COHERENT_ELSEWHERE = 0x50,
};

#endif
