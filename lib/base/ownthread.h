/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Threads of the library's own. Their stacks come from pool.h, so no page of them is ever mirrored:
 * the kernel would join a stack that libc maps with memory of the program beside it, and what the
 * pump touches must not wait for the pump.
 */
#ifndef LIB_BASE_OWNTHREAD_H
#define LIB_BASE_OWNTHREAD_H

#include "base/hooks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ownthread {
	pthread_t id;
	char *stack;
	size_t bytes;
};

/* Begins with all signals blocked; priority: of SCHED_FIFO, or 0. 0; -errno. */
int ownthread_start(struct ownthread *t, void *(*fn)(void *), void *arg, int priority);
/* Waits until it has ended. */
void ownthread_join(struct ownthread *t);

/*
 * For a thread that sleeps on `word` (base/futex.h) until it has work: false when it is to end.
 * Another thread ends it: that one sets `stop` first, and then changes and wakes `word`. So `word`
 * is read first here: a thread that has seen no `stop` does not sleep through the change that came
 * with it.
 */
static inline bool ownthread_goes_on(_Atomic uint32_t *word, _Atomic uint32_t *stop, uint32_t *seen)
{
	*seen = atomic_load(word);
	hmm_hook(HMM_POINT_IDLE);
	return !atomic_load(stop);
}

#endif
