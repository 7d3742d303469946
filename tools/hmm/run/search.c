// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* search: counts the positions at which a string of bytes occurs; occurrences may overlap. */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../command.h"
#include "../json.h"
#include "job.h"

#define PIECE (1U << 20)       /* start positions an item looks at */
#define PATTERN_MAX (4U << 10) /* so that 60 KiB of each access are new */

struct search {
	const uint8_t *base;
	size_t size;
	const char *pattern;
	size_t length;
	uint64_t pieces;
	_Atomic uint64_t matches;
	uint64_t device;
	uint64_t cpu;
};

/* Positions in [p, p + n) at which the pattern begins and ends. */
static uint64_t count(const struct search *s, const uint8_t *p, size_t n)
{
	const uint8_t *end = p + n;
	uint64_t found = 0;

	while ((p = memmem(p, (size_t)(end - p), s->pattern, s->length))) {
		found++;
		p++;
	}
	return found;
}

static int kernel(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct search *s = arg;
	size_t at = item * PIECE, end = at + PIECE + s->length - 1;
	uint64_t found = 0;
	int ret;

	if (end > s->size)
		end = s->size;
	while (at + s->length <= end) {
		size_t n = end - at < HMM_ACCESS_MAX ? end - at : HMM_ACCESS_MAX;
		void *p;

		ret = hmm_access(ctx, (uintptr_t)s->base + at, n, PROT_READ, &p);
		if (ret)
			return ret;
		found += count(s, p, n);
		at += n - s->length +
		      1; /* the next access begins with the first position not looked at */
	}
	ret = hmm_settle(ctx);
	if (!ret)
		atomic_fetch_add_explicit(&s->matches, found, memory_order_relaxed);
	return ret;
}

static void on_cpu(uint64_t item, void *arg)
{
	struct search *s = arg;
	size_t begin = item * PIECE, end = begin + PIECE + s->length - 1;

	if (end > s->size)
		end = s->size;
	if (begin < end)
		atomic_fetch_add_explicit(&s->matches, count(s, s->base + begin, end - begin),
					  memory_order_relaxed);
}

static int search_prepare(struct work *work)
{
	struct search *s;
	size_t length = strlen(work->options->pattern);

	if (!length || length > PATTERN_MAX) {
		work->status =
			complain(EXIT_INPUT, "PATTERN must be 1 to %u bytes long", PATTERN_MAX);
		return -COMPLAINED;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	work->state = s;
	work->bytes = s->size = work->input->size;
	s->base = work->input->base;
	s->pattern = work->options->pattern;
	s->length = length;
	s->pieces = (s->size + PIECE - 1) / PIECE;
	return 0;
}

static int search_device(struct work *work)
{
	struct search *s = work->state;
	int ret = session_run(work->session, "search", kernel, s, s->pieces);

	s->device = atomic_exchange(&s->matches, 0);
	return ret;
}

static int search_cpu(struct work *work)
{
	struct search *s = work->state;
	uint8_t *fresh;
	int ret = input_map_again(work->input, &fresh);

	if (ret)
		return ret;
	work->cpu_threads = work->session->engines;
	s->base = fresh;
	ret = cpu_run(work->session->engines, on_cpu, s, s->pieces);
	s->base = work->input->base;
	s->cpu = atomic_exchange(&s->matches, 0);
	munmap(fresh, s->size);
	return ret;
}

static int search_same(struct work *work)
{
	struct search *s = work->state;

	return s->device == s->cpu;
}

static void search_result(const struct work *work, struct json_object *fields, char *line)
{
	const struct search *s = work->state;

	put_number(fields, "matches", (int64_t)s->device);
	snprintf(line, LINE, "%" PRIu64 " matches", s->device);
}

static void search_release(struct work *work)
{
	free(work->state);
}

const struct job job_search = {
	.name = "search",
	.summary = "count where PATTERN, a string of bytes, occurs (overlaps count)",
	.takes_pattern = true,
	.prepare = search_prepare,
	.device = search_device,
	.cpu = search_cpu,
	.same = search_same,
	.result = search_result,
	.release = search_release,
};
