// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * checksum: the CRC-32 of a file, as gzip, zip and PNG compute it, so that any other tool can check
 * it. Any engine that is free sums the next piece, and the sums are joined at the end.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <libdeflate.h>
#include <zlib.h>

#include "../json.h"
#include "job.h"

#define PIECE (1U << 20)

struct checksum {
	const uint8_t *base; /* what is summed: the mapping, or the CPU's own of the same file */
	size_t size;
	uint64_t pieces;
	uint32_t *sums; /* one a piece */
	uint32_t device;
	uint32_t cpu;
};

static size_t piece_length(const struct checksum *c, uint64_t i)
{
	return i + 1 < c->pieces ? PIECE : c->size - (c->pieces - 1) * PIECE;
}

static uint32_t join(const struct checksum *c)
{
	uint32_t sum = 0;

	for (uint64_t i = 0; i < c->pieces; i++)
		sum = (uint32_t)crc32_combine(sum, c->sums[i], (z_off_t)piece_length(c, i));
	return sum;
}

static int kernel(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct checksum *c = arg;
	uint64_t va = (uintptr_t)c->base + item * PIECE;
	size_t left = piece_length(c, item);
	uint32_t sum = 0;
	int ret;

	while (left) {
		size_t n = left < HMM_ACCESS_MAX ? left : HMM_ACCESS_MAX;
		void *p;

		ret = hmm_access(ctx, va, n, PROT_READ, &p);
		if (ret)
			return ret;
		sum = libdeflate_crc32(sum, p, n);
		va += n;
		left -= n;
	}
	ret = hmm_settle(ctx);
	if (!ret)
		c->sums[item] = sum;
	return ret;
}

static void on_cpu(uint64_t item, void *arg)
{
	struct checksum *c = arg;

	c->sums[item] = libdeflate_crc32(0, c->base + item * PIECE, piece_length(c, item));
}

static int checksum_prepare(struct work *work)
{
	struct checksum *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	work->state = c;
	work->bytes = c->size = work->input->size;
	c->base = work->input->base;
	c->pieces = (c->size + PIECE - 1) / PIECE;
	c->sums = calloc(c->pieces, sizeof(*c->sums));
	return c->sums ? 0 : -ENOMEM;
}

static int checksum_device(struct work *work)
{
	struct checksum *c = work->state;
	int ret = session_run(work->session, "checksum", kernel, c, c->pieces);

	c->device = join(c);
	return ret;
}

static int checksum_cpu(struct work *work)
{
	struct checksum *c = work->state;
	uint8_t *fresh;
	int ret = input_map_again(work->input, &fresh);

	if (ret)
		return ret;
	work->cpu_threads = work->session->engines;
	c->base = fresh;
	ret = cpu_run(work->session->engines, on_cpu, c, c->pieces);
	c->base = work->input->base;
	c->cpu = join(c);
	munmap(fresh, c->size);
	return ret;
}

static int checksum_same(struct work *work)
{
	struct checksum *c = work->state;

	return c->device == c->cpu;
}

static void checksum_result(const struct work *work, struct json_object *fields, char *line)
{
	const struct checksum *c = work->state;
	char text[16];

	snprintf(text, sizeof(text), "%08" PRIx32, c->device);
	put_text(fields, "checksum", text);
	snprintf(line, LINE, "CRC-32 %s", text);
}

static void checksum_release(struct work *work)
{
	struct checksum *c = work->state;

	if (c)
		free(c->sums);
	free(c);
}

const struct job job_checksum = {
	.name = "checksum",
	.summary = "CRC-32 of each file, as gzip and zip compute it",
	.prepare = checksum_prepare,
	.device = checksum_device,
	.cpu = checksum_cpu,
	.same = checksum_same,
	.result = checksum_result,
	.release = checksum_release,
};
