// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <sys/mman.h>
#include <time.h>

#include "bench.h"
#include "raw.h"
#include "unmapper.h"

#define RATE 50000
#define BURST_NS 1000000L /* RATE / 1000 munmaps, then wait for the next millisecond */
#define PIECES 1024       /* pages mapped at a time */

static int ignore(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { sizeof(ops), ignore };

/* Registered by a fault of its first page: anonymous memory is registered a mapping at a time. */
static char *fresh(struct unmapper *u, struct hmm_interval_notifier **ni)
{
	size_t size = PIECES * HMM_PAGE_SIZE;
	uint64_t pfn = 0;
	struct hmm_range range = { .size = sizeof(range),
				   .hmm_pfns = &pfn,
				   .default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE };
	char *base = raw_map(size < 2 * RAW_MIB ? 2 * RAW_MIB : size, false);

	if (!base)
		return NULL;
	if (u->kind == TOUCHED)
		madvise(base, size, 23 /* MADV_POPULATE_WRITE */);
	if (u->kind != REGISTERED)
		return base;
	range.start = (uintptr_t)base;
	range.end = range.start + HMM_PAGE_SIZE;
	u->error = hmm_interval_notifier_insert(u->mm, range.start, size, &ops, NULL, ni);
	range.notifier = *ni;
	if (!u->error)
		u->error = hmm_range_fault(&range, HMM_FOREVER);
	return u->error ? NULL : base;
}

static void *unmap(void *arg)
{
	struct hmm_interval_notifier *ni = NULL;
	struct unmapper *u = arg;
	size_t next = PIECES;
	struct timespec tick;
	char *base = NULL;

	clock_gettime(CLOCK_MONOTONIC, &tick);
	while (!atomic_load_explicit(&u->stop, memory_order_relaxed)) {
		for (int i = 0; i < RATE / 1000; i++, u->done++) {
			if (next == PIECES) {
				hmm_interval_notifier_remove(ni);
				ni = NULL;
				base = fresh(u, &ni);
				next = 0;
				if (!base)
					goto out;
			}
			munmap(base + next++ * HMM_PAGE_SIZE, HMM_PAGE_SIZE);
		}
		tick.tv_nsec += BURST_NS;
		if (tick.tv_nsec >= 1000000000L) {
			tick.tv_nsec -= 1000000000L;
			tick.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &tick, NULL);
	}
out:
	if (base && next < PIECES)
		munmap(base + next * HMM_PAGE_SIZE, (PIECES - next) * HMM_PAGE_SIZE);
	hmm_interval_notifier_remove(ni);
	return NULL;
}

int unmapper_start(struct unmapper *u)
{
	atomic_store(&u->stop, false);
	u->done = 0;
	u->begin = bench_now_ns();
	return -pthread_create(&u->thread, NULL, unmap, u);
}

void unmapper_stop(struct unmapper *u)
{
	double reached;

	atomic_store(&u->stop, true);
	pthread_join(u->thread, NULL);
	reached = (double)u->done / (bench_now_ns() - u->begin) * 1e9;
	if (!u->reached || reached < u->reached)
		u->reached = reached;
}
