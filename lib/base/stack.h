/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Where memory of the program is trapped (lib/devmem) the first touch of a page waits for the pump.
 * The kernel may have joined a thread's stack with such memory. So a thread that is about to take a
 * lock of ours, which the pump may take too, makes sure that the pages of its stack are there.
 */
#ifndef LIB_BASE_STACK_H
#define LIB_BASE_STACK_H

#include <stdatomic.h>
#include <stdbool.h>

extern _Atomic bool stack_may_be_trapped __attribute__((visibility("hidden")));

void stack_touch(void);

#endif
