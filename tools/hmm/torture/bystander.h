/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The bystander: does in the same process, to memory of its own, what programs do to a library without thinking of
 * it, while the others work: cancels threads, unmaps in signal handlers, attaches and detaches, has forked
 * children clean up, closes descriptors, watches memory with a userfaultfd of its own, collects. Nothing of it may
 * hang, crash, be stale, or disturb the others.
 */
#ifndef TOOLS_HMM_TORTURE_BYSTANDER_H
#define TOOLS_HMM_TORTURE_BYSTANDER_H

#include <stdint.h>

struct torture;

void *bystander_main(void *arg);
/* Each kind once: what they take of the process for good is then taken. */
void *bystander_once(void *arg);
/* How often number i was done; NULL past the last. */
const char *bystander_count(unsigned int i, uint64_t *times);

#endif
