// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Before a lookup: everything that took effect is delivered, or everything is thrown out. */
#include "deliver.h"
#include "monitor.h"
#include "mutation.h"
#include "space.h"
#include "ucx.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

/*
 * A peer calls with locks held, so no call may wait for long. While the pump is stalled each call
 * would wait for its whole time: after one that did so, the others do not wait for a while, until
 * one gets an answer.
 */
#define WAIT_NS 20000000ULL
#define NO_WAIT_NS 50000000ULL

/* All addresses that a program can have. Twice as much would wrap UCX's sums of sizes. */
#define ALL_BYTES (1ULL << 56)

static _Atomic uint64_t stalled_until; /* 0: it is not */

/*
 * Held while UCX is told, and across fork(), as the child could not leave UCX's locks if the
 * deliverer had one.
 */
static pthread_mutex_t telling = PTHREAD_MUTEX_INITIALIZER;

/* The last ranges that were delivered, to tell which registrations replace one. */
#define RECENT 256
static struct {
	uint64_t start, end;
} recent[RECENT];                 /* recent_lock */
static unsigned int recent_count; /* recent_lock */
/* A leaf: UCX calls us with locks held for which the thread that tells it may wait. */
static pthread_mutex_t recent_lock = PTHREAD_MUTEX_INITIALIZER;

void ucx_tell_lock(void)
{
	pthread_mutex_lock(&telling);
}

void ucx_tell_unlock(void)
{
	pthread_mutex_unlock(&telling);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

uint64_t ucx_patience(void)
{
	const uint64_t until = atomic_load_explicit(&stalled_until, memory_order_relaxed);

	return until && now_ns() < until ? HMM_NO_WAIT : WAIT_NS;
}

bool ucx_stalled(void)
{
	return atomic_load_explicit(&stalled_until, memory_order_relaxed);
}

void ucx_learn(int err)
{
	const uint64_t until = atomic_load_explicit(&stalled_until, memory_order_relaxed);

	if (err != -ETIME && err != -EBUSY) {
		if (until)
			atomic_store(&stalled_until, 0);
	} else if (!until || now_ns() >= until) {
		atomic_store(&stalled_until, now_ns() + NO_WAIT_NS);
	}
}

/* With telling. Goes through all caches, as munmap() would with UCX's hooks. */
static void tell(uint64_t addr, uint64_t len)
{
	void (*munmapped)(void *, size_t);

	*(void **)&munmapped = UCX_NEXT("libucm", "ucm_vm_munmap");
	ucx_caches_lock();
	munmapped((void *)(uintptr_t)addr, len);
	ucx_caches_unlock();
}

void ucx_tell(uint64_t addr, uint64_t len)
{
	if (!len)
		return;
	pthread_mutex_lock(&recent_lock);
	recent[recent_count % RECENT].start = addr;
	recent[recent_count++ % RECENT].end = addr + len;
	pthread_mutex_unlock(&recent_lock);
	pthread_mutex_lock(&telling);
	if (!broken(UNTOLD))
		tell(addr, len);
	pthread_mutex_unlock(&telling);
}

const struct monitor monitor = { .name = "libhmm-ucx", .deliver = ucx_tell };

void ucx_count_stale(uint64_t start, uint64_t end)
{
	if (!libhmm_monitor_space()) /* the lock may be that of a thread that a child lacks */
		return;
	pthread_mutex_lock(&recent_lock);
	for (unsigned int i = 0; i < RECENT; i++)
		if (recent[i].start < end && start < recent[i].end) {
			stats_add(&monitor_counters()->stale_prevented);
			recent[i].end = 0;
			break;
		}
	pthread_mutex_unlock(&recent_lock);
}

/* Every lookup after this misses, unless it finds what was registered after this. */
static void throw_out(void)
{
	pthread_mutex_lock(&telling);
	tell(0, ALL_BYTES);
	pthread_mutex_unlock(&telling);
}

static bool settled(void)
{
	struct hmm_mm *mm = libhmm_monitor_space();
	int err = 0;

	if (!mm)
		return false;
	/* A number above 0: so many had changed, and are being delivered. */
	if (ucx_watch_has_files())
		err = hmm_mm_check_files(mm);
	if (err >= 0)
		err = hmm_mm_barrier(mm, ucx_patience());
	ucx_learn(err);
	return !err && deliver_wait(WAIT_NS);
}

void ucx_settle(void)
{
	int cancel;

	if (broken(UNSETTLED))
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	if (!settled() && !broken(KEEP_LOST))
		throw_out();
	pthread_setcancelstate(cancel, NULL);
}

static void before_fork(void)
{
	ucx_make_lock();
	pthread_mutex_lock(&telling);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&telling);
	ucx_make_unlock();
}

/* It comes after the library's and before UCX's, so that none of those is held by a thread here. */
int ucx_settle_init(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static bool done; /* lock */
	int err = 0;

	pthread_mutex_lock(&lock);
	if (!done)
		err = -pthread_atfork(before_fork, after_fork, after_fork);
	done |= !err;
	pthread_mutex_unlock(&lock);
	return err;
}
