// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A job over warm memory while another thread unmaps memory that has nothing to do with it, 50,000
 * times a second or as fast as the machine can, against the same job in quiet. Unrelated memory is either
 * not mirrored at all, or mirrored by the same address space.
 */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../run/job.h"
#include "bench.h"
#include "raw.h"

#define SIZE (256 * RAW_MIB)
#define RATE 50000
#define BURST_NS 1000000L /* RATE / 1000 munmaps, then wait for the next millisecond */
#define PIECES 1024	  /* pages mapped at a time */
#define REPEATS 4	  /* of the job in one measurement */

struct disturbed {
	struct run_options options;
	struct session session;
	struct input input;
	bool mirrored;
	atomic_bool stop;
	uint64_t done; /* munmaps of the last measurement */
	int error;
	double reached; /* munmaps a second, the least of all measurements */
};

static int ignore(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { sizeof(ops), ignore };

static char *fresh(struct disturbed *d, uint64_t *pfns, struct hmm_interval_notifier **ni)
{
	size_t size = PIECES * HMM_PAGE_SIZE;
	struct hmm_range range = { .size = sizeof(range),
				   .hmm_pfns = pfns,
				   .default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE };
	char *base = raw_map(size < 2 * RAW_MIB ? 2 * RAW_MIB : size, false);

	if (!base)
		return NULL;
	if (!d->mirrored) {
		madvise(base, size, 23 /* MADV_POPULATE_WRITE */);
		return base;
	}
	memset(pfns, 0, PIECES * sizeof(*pfns));
	range.start = (uintptr_t)base;
	range.end = range.start + size;
	d->error = hmm_interval_notifier_insert(d->session.mm, range.start, size, &ops, NULL, ni);
	range.notifier = *ni;
	if (!d->error)
		d->error = hmm_range_fault(&range, 0);
	return d->error ? NULL : base;
}

static void *unmap(void *arg)
{
	static uint64_t pfns[PIECES];
	struct hmm_interval_notifier *ni = NULL;
	struct disturbed *d = arg;
	size_t next = PIECES;
	struct timespec tick;
	char *base = NULL;

	clock_gettime(CLOCK_MONOTONIC, &tick);
	while (!atomic_load_explicit(&d->stop, memory_order_relaxed)) {
		for (int i = 0; i < RATE / 1000; i++, d->done++) {
			if (next == PIECES) {
				hmm_interval_notifier_remove(ni);
				ni = NULL;
				base = fresh(d, pfns, &ni);
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

static double quiet(void *arg)
{
	struct disturbed *d = arg;
	struct work work = { .options = &d->options, .session = &d->session, .input = &d->input };
	double result = NAN;
	int ret = job_checksum.prepare(&work);

	d->session.seconds = 0;
	for (int i = 0; i < REPEATS && !ret; i++)
		ret = job_checksum.device(&work);
	if (!ret)
		result = REPEATS * SIZE / (d->session.seconds * 1e9);
	job_checksum.release(&work);
	return result;
}

static double loud(void *arg)
{
	struct disturbed *d = arg;
	pthread_t thread;
	double result, begin, reached;

	atomic_store(&d->stop, false);
	d->done = 0;
	begin = bench_now_ns();
	if (pthread_create(&thread, NULL, unmap, d))
		return NAN;
	result = quiet(d);
	atomic_store(&d->stop, true);
	pthread_join(thread, NULL);
	reached = (double)d->done / (bench_now_ns() - begin) * 1e9;
	if (!d->reached || reached < d->reached)
		d->reached = reached;
	return d->error ? NAN : result;
}

static int measure(struct bench *b, struct disturbed *d, bool mirrored)
{
	struct bench_row row = { .unit = "GB/s", .target = mirrored ? 0.7 : 0.95, .sense = BENCH_HIGHER };
	int ret;

	d->mirrored = mirrored;
	d->reached = 0;
	snprintf(row.name, sizeof(row.name), "disturbed-munmap-%s", mirrored ? "mirrored" : "not-mirrored");
	ret = bench_interleave(b, loud, quiet, d, &row);
	snprintf(row.note, sizeof(row.note), "%.0f munmaps/s at least, %u engine%s", d->reached, d->session.engines,
		 d->session.engines == 1 ? "" : "s");
	if (!ret)
		bench_add(b, &row);
	return ret;
}

int bench_disturbed(struct bench *b)
{
	struct disturbed d = { .input = { .path = "(256 MiB)", .size = SIZE } };
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int ret;

	d.input.fd = raw_file(SIZE);
	if (d.input.fd < 0)
		return d.input.fd;
	ret = input_map_again(&d.input, &d.input.base);
	/* A CPU is left to the program, else the figure is about time slices. */
	if (!ret && session_open(&d.session, "soft", cpus > 1 ? (unsigned int)cpus - 1 : 1, false))
		ret = -EIO;
	if (!ret)
		ret = measure(b, &d, false);
	if (!ret)
		ret = measure(b, &d, true);
	session_close(&d.session);
	if (d.input.base)
		munmap(d.input.base, SIZE);
	close(d.input.fd);
	return ret;
}
