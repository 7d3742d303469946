/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Deadlines, in ns of CLOCK_MONOTONIC; 0 is never. Functions that wait until one. */
#ifndef LIB_BASE_DEADLINE_H
#define LIB_BASE_DEADLINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* CLOCK_MONOTONIC. */
uint64_t clock_ns(void);

/* The deadline that is timeout_ns from now: 0, which is never, for HMM_FOREVER. */
uint64_t deadline_after(uint64_t timeout_ns);
bool deadline_passed(uint64_t deadline);
/*
 * What is left of it, as a timeout: HMM_NO_WAIT once it has passed, HMM_FOREVER if it never will.
 */
uint64_t deadline_left_ns(uint64_t deadline);
/* The longest time to sleep before the caller looks at the deadline again. */
uint64_t deadline_slice_ns(uint64_t deadline);

/* Takes a lock that the pump may hold for long, while callbacks of drivers run. 0; -ETIME. */
int deadline_lock(pthread_mutex_t *lock, uint64_t deadline);
/* Waits for a condition; may return before it was signalled. 0; -ETIME. */
int deadline_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t deadline);

/*
 * For loops that wait: call it with the number of the round, from 0. Yields the CPU in the first
 * rounds, then sleeps for 50 us.
 */
void deadline_pause(unsigned int n);
/* The same for a wait of about a microsecond: spins, then yields, then sleeps for 20 us. */
void deadline_spin(unsigned int n);

#endif
