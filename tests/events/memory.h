/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* memory: one mapping of each kind, filled with a known byte, for tests of what operations do to
 * it. */
#ifndef TESTS_EVENTS_MEMORY_H
#define TESTS_EVENTS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <hmm/types.h>

#define OLD_BYTE 0x4f /* what memory holds before an operation */
#define NEW_BYTE 0x4e

enum memory_kind {
	MEMORY_ANON,
	MEMORY_THP,
	MEMORY_BRK, /* the end of the heap */
	MEMORY_HUGETLB,
	MEMORY_SHMEM,
	MEMORY_SYSV,
	MEMORY_FILE,
	MEMORY_DAX, /* a file in the directory $HMM_DAX_DIR */
	MEMORY_NR,
};

struct memory {
	enum memory_kind kind;
	char *p;
	size_t len;
	size_t page; /* the kernel's page in it */
	int fd;      /* or -1 */
	char *moved; /* where an operation moved it, or NULL */
	bool gone;   /* already unmapped, or somebody else's by now */
	pid_t child; /* shares its pages for as long as it is mapped, or 0 */
};

const char *memory_name(enum memory_kind kind);
enum hmm_vma_kind memory_vma_kind(enum memory_kind kind);
/* NULL; or why this host has no such memory (then nothing is mapped). Four pages of its size at
 * least. */
const char *memory_map(struct memory *m, enum memory_kind kind);
void memory_unmap(struct memory *m);
/*
 * Address space of some MiB in which nobody else maps anything: another thread's mapping takes no
 * hole there. Segments are mapped in such a place.
 */
char *memory_place(void);
/* What the program sees at an offset; -errno if nothing is mapped. */
int memory_peek(const struct memory *m, size_t offset);
/* Is there a page in the page table? */
bool memory_present(const struct memory *m, size_t offset);

#endif
