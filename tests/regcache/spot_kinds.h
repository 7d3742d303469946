/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The kinds of spots, and what they share. */
#ifndef TESTS_REGCACHE_SPOT_KINDS_H
#define TESTS_REGCACHE_SPOT_KINDS_H

#include "storm.h"

extern const struct spot_kind anon_kind, large_kind, shared_kind, segment_kind, heap_kind,
	library_kind, overlaid_kind;

/* Addresses that nothing else uses, 16 MiB each. */
char *spot_place(unsigned int number);
/*
 * By number: ThreadSanitizer does not see the library's calls on descriptors, and takes the same
 * number for the same descriptor.
 */
void spot_close(int fd);
/* Anonymous memory where nothing is mapped; -errno. */
int spot_map(char *at, size_t size);

#endif
