/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The bystander does what programs do without thinking of the library, in the same process and to
 * memory of its own, while the other threads work. It cancels threads, unmaps in signal handlers,
 * attaches and detaches, has forked children clean up, closes descriptors, registers memory with a
 * userfaultfd of its own, collects. None of that may hang, crash, make a stale access or disturb
 * the other threads.
 */
#ifndef TOOLS_HMM_TORTURE_BYSTANDER_H
#define TOOLS_HMM_TORTURE_BYSTANDER_H

#include <stdint.h>

struct torture;

void *bystander_main(void *arg);
/*
 * Does each kind once, so that what it takes of the process for good is taken before leaks are
 * looked for.
 */
void *bystander_once(void *arg);
/* How often number i was done; NULL past the last. */
const char *bystander_count(unsigned int i, uint64_t *times);

#endif
