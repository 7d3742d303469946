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
#include "unmapper.h"

#define SIZE (256 * RAW_MIB)
#define REPEATS 4 /* of the job in one measurement */

struct disturbed {
	struct run_options options;
	struct session session;
	struct input input;
	struct unmapper other;
	_Atomic uint32_t sum; /* what the CPU computes goes somewhere */
};

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
	double result;

	d->other.mm = d->session.mm;
	if (unmapper_start(&d->other))
		return NAN;
	result = side(d);
	unmapper_stop(&d->other);
	return d->other.error ? NAN : result;
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

	d->other.reached = 0;
	snprintf(row.name, sizeof(row.name), "disturbed-munmap-%s", name);
	ret = bench_interleave(b, loud, d->other.kind == TOUCHED ? loud_cpu : quiet, d, &row);
	snprintf(row.note, sizeof(row.note), "%.0f munmaps/s at least, %u engine%s",
		 d->other.reached, d->session.engines, d->session.engines == 1 ? "" : "s");
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
	for (d.other.kind = BYSTANDER; d.other.kind <= TOUCHED && !ret; d.other.kind++)
		ret = measure(b, &d, names[d.other.kind], targets[d.other.kind]);
	session_close(&d.session);
	if (d.input.base)
		munmap(d.input.base, SIZE);
	close(d.input.fd);
	return ret;
}
