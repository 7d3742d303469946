// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * `hmm run checksum` of a cached file by a cold device, against as many CPU threads over a mapping
 * that is as fresh; the same job while unrelated memory is unmapped (disturbed.c).
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../run/job.h"
#include "bench.h"
#include "raw.h"

#define SIZE (1024 * RAW_MIB)

struct job_bench {
	struct run_options options;
	struct session session;
	struct input input;
	struct work work;
};

static double rate(double begin_ns)
{
	return SIZE / (bench_now_ns() - begin_ns); /* bytes a nanosecond are GB a second */
}

/* Device, mirror and mapping are new each time; what is timed is the job. */
static double ours(void *arg)
{
	struct job_bench *j = arg;
	double result = NAN;

	if (session_open(&j->session, "soft", (unsigned int)sysconf(_SC_NPROCESSORS_ONLN), false))
		return NAN;
	j->work =
		(struct work){ .options = &j->options, .session = &j->session, .input = &j->input };
	if (!input_map_again(&j->input, &j->input.base)) {
		if (!job_checksum.prepare(&j->work) && !job_checksum.device(&j->work))
			result = SIZE / (j->session.seconds * 1e9);
		job_checksum.release(&j->work);
		munmap(j->input.base, SIZE);
	}
	session_close(&j->session);
	return result;
}

static double theirs(void *arg)
{
	struct job_bench *j = arg;
	double begin, result = NAN;

	j->session = (struct session){ .engines = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN) };
	j->work =
		(struct work){ .options = &j->options, .session = &j->session, .input = &j->input };
	if (!job_checksum.prepare(&j->work)) {
		begin = bench_now_ns();
		if (!job_checksum.cpu(&j->work))
			result = rate(begin);
	}
	job_checksum.release(&j->work);
	return result;
}

int bench_checksum(struct bench *b)
{
	struct bench_row row = {
		.name = "checksum-1GiB-cold", .unit = "GB/s", .target = 0.8, .sense = BENCH_HIGHER
	};
	struct job_bench j = { .input = { .path = "(1 GiB)", .size = SIZE } };
	int ret;

	j.input.fd = raw_file(SIZE);
	if (j.input.fd < 0)
		return j.input.fd;
	snprintf(row.note, sizeof(row.note), "CRC-32; %ld engines, %ld CPU threads",
		 sysconf(_SC_NPROCESSORS_ONLN), sysconf(_SC_NPROCESSORS_ONLN));
	ret = bench_interleave(b, ours, theirs, &j, &row);
	if (!ret)
		bench_add(b, &row);
	close(j.input.fd);
	return ret;
}
