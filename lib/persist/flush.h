/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Writing cache lines back to memory, if the CPU can do that and allows it to user space. */
#ifndef LIB_PERSIST_FLUSH_H
#define LIB_PERSIST_FLUSH_H

#include <stdbool.h>
#include <stdint.h>

bool flush_available(void);
/* Writes [start, end) back and waits until it has reached the domain of persistence. */
void flush_range(uint64_t start, uint64_t end);

#endif
