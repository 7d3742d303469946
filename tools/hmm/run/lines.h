/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Sorting and merging lines of text in memory, bytewise as `LC_ALL=C sort` does it. */
#ifndef TOOLS_HMM_RUN_LINES_H
#define TOOLS_HMM_RUN_LINES_H

#include <stddef.h>
#include <stdint.h>

/*
 * Sorts the lines of src[0, size), each of which ends with '\n', into dst. Allocates an index.
 * Returns how many lines, or -ENOMEM.
 */
int64_t lines_sort(const char *src, size_t size, char *dst);

/* Merges two sorted runs of lines into dst. Equal lines of a come first. */
void lines_merge(const char *a, size_t a_size, const char *b, size_t b_size, char *dst);

#endif
