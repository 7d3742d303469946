/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Deadlines: absolute CLOCK_MONOTONIC ns; 0 is never. And waiting that looks at them. */
#ifndef LIB_BASE_DEADLINE_H
#define LIB_BASE_DEADLINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* CLOCK_MONOTONIC. */
uint64_t clock_ns(void);

/* The deadline that is timeout_ns from now; 0 for 0. */
uint64_t deadline_after(uint64_t timeout_ns);
bool deadline_passed(uint64_t deadline);
/* What is left of it: at least 1, as 0 is for ever; 0 for 0. */
uint64_t deadline_left_ns(uint64_t deadline);
/* How long to sleep at most before the deadline is looked at again. */
uint64_t deadline_slice_ns(uint64_t deadline);

/* A lock that the pump holds while a driver's callbacks run. 0; -ETIME. */
int deadline_lock(pthread_mutex_t *lock, uint64_t deadline);
/* Waits for a condition, maybe in vain. 0; -ETIME. */
int deadline_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t deadline);

/* Between look number n, from 0, and the next: yields the CPU at first, then sleeps 50 us. */
void deadline_pause(unsigned int n);
/* The same for what is over in a microsecond: spins, then yields, then sleeps 20 us. */
void deadline_spin(unsigned int n);

#endif
