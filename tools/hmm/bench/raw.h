/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The kernel's own calls, bare: what the library is compared with. */
#ifndef TOOLS_HMM_BENCH_RAW_H
#define TOOLS_HMM_BENCH_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RAW_MIB (1UL << 20)

/* Anonymous memory at a multiple of 2 MiB, of 4K pages or of huge ones. NULL if there is none. */
void *raw_map(size_t size, bool huge);

/*
 * Fills it. False: it was to be huge pages, and the host has none. One that gives none at a fault
 * is asked for them afterwards.
 */
bool raw_fill(void *base, size_t size, bool huge);

/* Are its pages huge ones? */
bool raw_is_huge(void *base, size_t size);

/* An unlinked file of this size on a disk's filesystem, in the page cache. -errno. */
int raw_file(size_t size);

int raw_pagemap_open(void);
/*
 * Reads by PAGEMAP_SCAN what a snapshot needs; with words also the words of the pages, `step` bytes
 * apart, which tell whether an anonymous page is this process's alone. 0 or -errno.
 */
int raw_snapshot(int pagemap, const void *base, size_t size, bool words, size_t step);

/* A userfaultfd with the events, or -errno. */
int raw_uffd(void);
int raw_uffd_register(int uffd, void *base, size_t size);
/* The zero-length probe: -EINVAL nothing in flight, -EAGAIN something is. */
int raw_uffd_probe(int uffd, const void *addr);
/* Reads events and nothing else, blocking, until a read fails or *stop. Give it a thread. */
struct raw_reader {
	int uffd;
	volatile bool stop;
};
void *raw_uffd_reader(void *reader);

#endif
