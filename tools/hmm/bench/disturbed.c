// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A job over warm memory while another thread unmaps memory that has nothing to do with it, 50,000
 * times a second or as fast as the machine can. That memory is one of
 *
 *	bystander	not mirrored, pages never touched: against the job in quiet
 *	registered	registered with the mirror's userfaultfd, likewise untouched: against the
 *			job in quiet
 *	touched		not mirrored, each page present: against CPU threads that do the same work
 *			under the same unmapping, for the kernel interrupts every CPU of the process
 *			to flush its TLB
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
#include <libdeflate.h>

#include "../run/job.h"
#include "bench.h"
#include "raw.h"

#define SIZE (256 * RAW_MIB)
#define RATE 50000
#define BURST_NS 1000000L /* RATE / 1000 munmaps, then wait for the next millisecond */
#define PIECES 1024       /* pages mapped at a time */
#define REPEATS 4         /* of the job in one measurement */

struct disturbed {
	struct run_options options;
	struct session session;
	struct input input;
	enum { BYSTANDER, REGISTERED, TOUCHED } kind;
	atomic_bool stop;
	_Atomic uint32_t sum; /* what the CPU computes goes somewhere */
	uint64_t done;        /* munmaps of the last measurement */
	int error;
	double reached; /* munmaps a second, the least of all measurements */
};

static int ignore(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { sizeof(ops), ignore };

/* Registered by a fault of its first page: anonymous memory is registered a mapping at a time. */
static char *fresh(struct disturbed *d, struct hmm_interval_notifier **ni)
{
	size_t size = PIECES * HMM_PAGE_SIZE;
	uint64_t pfn = 0;
	struct hmm_range range = { .size = sizeof(range),
				   .hmm_pfns = &pfn,
				   .default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE };
	char *base = raw_map(size < 2 * RAW_MIB ? 2 * RAW_MIB : size, false);

	if (!base)
		return NULL;
	if (d->kind == TOUCHED)
		madvise(base, size, 23 /* MADV_POPULATE_WRITE */);
	if (d->kind != REGISTERED)
		return base;
	range.start = (uintptr_t)base;
	range.end = range.start + HMM_PAGE_SIZE;
	d->error = hmm_interval_notifier_insert(d->session.mm, range.start, size, &ops, NULL, ni);
	range.notifier = *ni;
	if (!d->error)
		d->error = hmm_range_fault(&range, HMM_FOREVER);
	return d->error ? NULL : base;
}

static void *unmap(void *arg)
{
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
				base = fresh(d, &ni);
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

#define PIECE RAW_MIB

static void sum_piece(uint64_t item, void *arg)
{
	struct disturbed *d = arg;

	atomic_fetch_xor(&d->sum, libdeflate_crc32(0, d->input.base + item * PIECE, PIECE));
}

/* The same work by CPU threads, over the mapping that is warm for the device as well. */
static double on_cpu(void *arg)
{
	struct disturbed *d = arg;
	double begin = bench_now_ns();

	for (int i = 0; i < REPEATS; i++)
		cpu_run(d->session.engines, sum_piece, d, SIZE / PIECE);
	return REPEATS * SIZE / (bench_now_ns() - begin);
}

static double disturb(struct disturbed *d, bench_side side)
{
	pthread_t thread;
	double result, begin, reached;

	atomic_store(&d->stop, false);
	d->done = 0;
	begin = bench_now_ns();
	if (pthread_create(&thread, NULL, unmap, d))
		return NAN;
	result = side(d);
	atomic_store(&d->stop, true);
	pthread_join(thread, NULL);
	reached = (double)d->done / (bench_now_ns() - begin) * 1e9;
	if (!d->reached || reached < d->reached)
		d->reached = reached;
	return d->error ? NAN : result;
}

static double loud(void *arg)
{
	return disturb(arg, quiet);
}

static double loud_cpu(void *arg)
{
	return disturb(arg, on_cpu);
}

static int measure(struct bench *b, struct disturbed *d, const char *name, double target)
{
	struct bench_row row = {
		.unit = "GB/s", .target = target, .sense = BENCH_HIGHER, .cpus = 2
	};
	int ret;

	d->reached = 0;
	snprintf(row.name, sizeof(row.name), "disturbed-munmap-%s", name);
	ret = bench_interleave(b, loud, d->kind == TOUCHED ? loud_cpu : quiet, d, &row);
	snprintf(row.note, sizeof(row.note), "%.0f munmaps/s at least, %u engine%s", d->reached,
		 d->session.engines, d->session.engines == 1 ? "" : "s");
	if (!ret)
		bench_add(b, &row);
	return ret;
}

int bench_disturbed(struct bench *b)
{
	struct disturbed d = { .input = { .path = "(256 MiB)", .size = SIZE } };
	static const char *const names[] = { "bystander", "registered", "touched" };
	static const double targets[] = { 0.95, 0.7, 0.8 };
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int ret;

	d.input.fd = raw_file(SIZE);
	if (d.input.fd < 0)
		return d.input.fd;
	ret = input_map_again(&d.input, &d.input.base);
	/* A CPU is left to the program, else the figure is about time slices. */
	if (!ret && session_open(&d.session, "soft", cpus > 1 ? (unsigned int)cpus - 1 : 1, false))
		ret = -EIO;
	for (d.kind = BYSTANDER; d.kind <= TOUCHED && !ret; d.kind++)
		ret = measure(b, &d, names[d.kind], targets[d.kind]);
	session_close(&d.session);
	if (d.input.base)
		munmap(d.input.base, SIZE);
	close(d.input.fd);
	return ret;
}
