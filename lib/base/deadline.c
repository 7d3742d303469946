// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "base/deadline.h"
#include "base/futex.h"
#include "base/mutation.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

bool deadline_passed(uint64_t deadline)
{
	return deadline && clock_ns() >= deadline;
}

uint64_t deadline_after(uint64_t timeout_ns)
{
	uint64_t now;

	if (timeout_ns == HMM_FOREVER)
		return 0;
	now = clock_ns();
	return timeout_ns < UINT64_MAX - now ? now + timeout_ns : UINT64_MAX;
}

uint64_t deadline_left_ns(uint64_t deadline)
{
	uint64_t now = clock_ns();

	if (!deadline)
		return HMM_FOREVER;
	return now < deadline ? deadline - now : HMM_NO_WAIT;
}

#define SLICE_NS 100000000ULL

uint64_t deadline_slice_ns(uint64_t deadline)
{
	uint64_t left = deadline_left_ns(deadline);

	return left != HMM_FOREVER && left < SLICE_NS ? left : SLICE_NS;
}

/*
 * Timed waits of POSIX go by a clock that can be set, and ThreadSanitizer does not know the others.
 * So a wait is cut into short slices, and the deadline is looked at after each.
 */
static struct timespec slice_end(uint64_t left)
{
	struct timespec ts;
	uint64_t ns;

	clock_gettime(CLOCK_REALTIME, &ts);
	ns = (uint64_t)ts.tv_nsec + (left < SLICE_NS ? left : SLICE_NS);
	ts.tv_sec += (time_t)(ns / 1000000000);
	ts.tv_nsec = (long)(ns % 1000000000);
	return ts;
}

static int lock_until(pthread_mutex_t *lock, uint64_t deadline)
{
	for (uint64_t now = clock_ns(); now < deadline; now = clock_ns()) {
		struct timespec ts = slice_end(deadline - now);

		if (!pthread_mutex_timedlock(lock, &ts))
			return 0;
	}
	return -ETIME;
}

int deadline_lock(pthread_mutex_t *lock, uint64_t deadline)
{
	if (!pthread_mutex_trylock(lock))
		return 0;
	if (deadline && !hmm_mutation(HMM_MUTATION_NO_DEADLINE))
		return lock_until(lock, deadline);
	pthread_mutex_lock(lock);
	return 0;
}

int deadline_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t deadline)
{
	struct timespec ts;

	if (!deadline) {
		pthread_cond_wait(cond, lock);
		return 0;
	}
	if (deadline_passed(deadline))
		return -ETIME;
	ts = slice_end(deadline_left_ns(deadline));
	pthread_cond_timedwait(cond, lock, &ts);
	return 0;
}

void deadline_pause(unsigned int round)
{
	const struct timespec ts = { 0, 50000 };

	if (round < 20)
		sched_yield();
	else
		nanosleep(&ts, NULL);
}

void deadline_spin(unsigned int n)
{
	const struct timespec ts = { 0, 20000 };

	if (n < 200)
		cpu_relax();
	else if (n < 220)
		sched_yield();
	else
		nanosleep(&ts, NULL);
}
