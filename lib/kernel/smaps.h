/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Flags of a mapping that only smaps shows. Reading it is slow: milliseconds in a large process. */
#ifndef LIB_KERNEL_SMAPS_H
#define LIB_KERNEL_SMAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Reads the VmFlags line of the VMA that begins at start. 0; -EFAULT: no VMA begins there; -errno:
 * smaps cannot be opened.
 */
int smaps_flags(uint64_t start, char *flags, size_t size);
/* Does such a line have this flag, of two letters? */
bool smaps_has(const char *flags, const char *flag);

#endif
