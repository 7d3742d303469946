/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What only smaps tells of a mapping. Slow to read: milliseconds in a large process. */
#ifndef LIB_KERNEL_SMAPS_H
#define LIB_KERNEL_SMAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The VmFlags line of the VMA that begins at start. 0; -EFAULT there is none; -errno of opening
 * smaps.
 */
int smaps_flags(uint64_t start, char *flags, size_t size);
/* Has such a line this flag, of two letters? */
bool smaps_has(const char *flags, const char *flag);

#endif
