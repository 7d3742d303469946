// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sort: the device sorts the lines of a file, bytewise, in the mapping itself: a private one, whose
 * pages are copied as the device writes them, or with --in-place the file.
 *
 * Four kernels: find where lines begin; load and sort a piece; merge two sorted pieces, in the
 * job's own memory; store. The mapping is written by the last one only, which an interrupt does not
 * cut short: the file is either as it was or sorted.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../apart.h"
#include "../command.h"
#include "../json.h"
#include "job.h"
#include "lines.h"

#define PIECE (1U << 20)
#define LOOK 4096 /* bytes looked at at a time for the end of a line */

struct sort {
	uint8_t *base;
	size_t size;     /* of the file */
	size_t text;     /* of the buffers: one more if the last line does not end */
	uint64_t pieces; /* before the first merge */
	uint64_t runs;   /* sorted runs there are now */
	size_t *begins;  /* runs + 1 of them */
	char *from;      /* buffers of the job's own */
	char *to;
	char *buffers;   /* both */
	char *reference; /* the CPU's result */
	_Atomic uint64_t lines;
};

/* begins[item]: the first line that begins at or after the piece's first byte. */
static int find_line(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct sort *s = arg;
	char look[LOOK];
	int ret;

	/* A line begins here if the byte before ends one. */
	for (size_t at = item * PIECE - 1; at < s->size; at += LOOK) {
		size_t n = s->size - at < LOOK ? s->size - at : LOOK;
		char *p;

		ret = hmm_load(ctx, look, (uintptr_t)s->base + at, n);
		if (ret)
			return ret;
		p = memchr(look, '\n', n);
		if (p) {
			s->begins[item] = at + (size_t)(p - look) + 1;
			return 0;
		}
	}
	s->begins[item] = s->text; /* none does */
	return 0;
}

static int find_line_after_first(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	return find_line(ctx, item + 1, arg);
}

/* hmm_load() replays itself, so the item is never begun again and may allocate. */
static int sort_piece(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct sort *s = arg;
	size_t begin = s->begins[item], end = s->begins[item + 1], in_file = end;
	int64_t lines;
	int ret;

	if (begin >= end)
		return 0;
	if (in_file > s->size)
		in_file = s->size;
	ret = hmm_load(ctx, s->from + begin, (uintptr_t)s->base + begin, in_file - begin);
	if (ret)
		return ret;
	if (end > in_file)
		s->from[in_file] = '\n';
	lines = lines_sort(s->from + begin, end - begin, s->to + begin);
	if (lines < 0)
		return (int)lines;
	atomic_fetch_add_explicit(&s->lines, (uint64_t)lines, memory_order_relaxed);
	return 0;
}

static int merge_runs(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct sort *s = arg;
	size_t a = s->begins[2 * item], b, end;

	(void)ctx;
	b = s->begins[2 * item + 1];
	end = 2 * item + 2 <= s->runs ? s->begins[2 * item + 2] : b;
	lines_merge(s->from + a, b - a, s->from + b, end - b, s->to + a);
	return 0;
}

static int store_piece(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct sort *s = arg;
	size_t at = item * PIECE, n = s->size - at < PIECE ? s->size - at : PIECE;

	return hmm_store(ctx, (uintptr_t)s->base + at, s->from + at, n);
}

static void swap_buffers(struct sort *s)
{
	char *t = s->from;

	s->from = s->to;
	s->to = t;
}

static int merge_all(struct session *session, struct sort *s)
{
	int ret = 0;

	while (s->runs > 1 && !ret) {
		uint64_t merged = (s->runs + 1) / 2;

		ret = session_run(session, "merge", merge_runs, s, merged);
		for (uint64_t i = 1; i <= merged; i++)
			s->begins[i] = s->begins[2 * i < s->runs ? 2 * i : s->runs];
		s->runs = merged;
		swap_buffers(s);
	}
	return ret;
}

/* What no storage backs (tmpfs) cannot be lost later than it is anyway. */
static int make_durable(const struct work *work)
{
	uint64_t start = (uintptr_t)work->input->base;
	int ret = hmm_persist(work->session->mm, start, start + work->input->size, NULL);

	if (ret && ret != -EOPNOTSUPP)
		return ret;
	/*
	 * The kernel has taken permission to write from the pages: the device asks again before its
	 * next store.
	 */
	return hmm_mm_note_writeback(work->session->mm, work->input->fd);
}

static int sort_device(struct work *work)
{
	struct sort *s = work->state;
	int ret = 0;

	if (s->pieces > 1)
		ret = session_run(work->session, "lines", find_line_after_first, s, s->pieces - 1);
	if (!ret)
		ret = session_run(work->session, "sort", sort_piece, s, s->pieces);
	swap_buffers(s);
	if (!ret)
		ret = merge_all(work->session, s);
	if (ret)
		return ret;
	ret = session_name(work->session, s->base, s->size, PROT_READ | PROT_WRITE);
	if (ret)
		return ret;
	if (work->options->in_place)
		interrupts_hold(true);
	ret = session_run(work->session, "store", store_piece, s, (s->size + PIECE - 1) / PIECE);
	if (!ret && work->options->in_place)
		ret = make_durable(work);
	interrupts_hold(false);
	return ret;
}

static int sort_prepare(struct work *work)
{
	struct sort *s = calloc(1, sizeof(*s));
	char last = 0;

	if (!s)
		return -ENOMEM;
	work->state = s;
	work->bytes = s->size = work->input->size;
	s->base = work->input->base;
	/* The only byte that the CPU looks at, read by the descriptor to leave the mapping cold. */
	if (pread(work->input->fd, &last, 1, (off_t)s->size - 1) != 1)
		return -EFAULT; /* it has shrunk */
	s->text = s->size + (last != '\n');
	s->pieces = s->runs = (s->size + PIECE - 1) / PIECE;
	s->begins = calloc(s->pieces + 1, sizeof(*s->begins));
	s->buffers = apart_map(2 * s->text);
	if (!s->begins || !s->buffers)
		return -ENOMEM;
	s->from = s->buffers;
	s->to = s->buffers + s->text;
	s->begins[s->pieces] = s->text;
	return 0;
}

/*
 * The CPU's way: one thread, one sort over the whole text. Reads the file, not the mapping; with
 * --in-place that is before the device has sorted it.
 */
static int sort_cpu(struct work *work)
{
	struct sort *s = work->state;
	char *text = s->to;
	size_t at = 0;

	work->cpu_threads = 1;
	s->reference =
		mmap(NULL, s->text, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->reference == MAP_FAILED) {
		s->reference = NULL;
		return -ENOMEM;
	}
	while (at < s->size) {
		ssize_t n = pread(work->input->fd, text + at, s->size - at, (off_t)at);

		if (n <= 0)
			return n ? -errno : -EFAULT;
		at += (size_t)n;
	}
	if (s->text > s->size)
		text[s->size] = '\n';
	if (lines_sort(text, s->text, s->reference) < 0)
		return -ENOMEM;
	return interrupted() ? -ECANCELED : 0;
}

static int write_output(struct work *work)
{
	const struct sort *s = work->state;
	const char *path = work->options->output;
	size_t at = 0;
	struct stat in, out;
	bool opened;
	int fd;

	/* Truncating the file would take the pages of its mapping away. */
	if (!stat(path, &out) && !fstat(work->input->fd, &in) && in.st_dev == out.st_dev &&
	    in.st_ino == out.st_ino) {
		work->status =
			complain(EXIT_INPUT, "'%s' is input and output; use --in-place", path);
		return -COMPLAINED;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	opened = fd >= 0;
	while (fd >= 0 && at < s->size) {
		ssize_t n = write(fd, s->base + at, s->size - at);

		if (n < 0)
			break;
		at += (size_t)n;
	}
	if (fd < 0 || at < s->size || close(fd)) {
		if (errno == EINTR && interrupted())
			return -ECANCELED;
		if (errno == EFAULT)
			return -EFAULT; /* the input has shrunk */
		work->status = complain(opened ? EXIT_FAILED : EXIT_INPUT, "cannot write '%s': %s",
					path, strerror(errno));
		return -COMPLAINED;
	}
	return 0;
}

static int sort_same(struct work *work)
{
	struct sort *s = work->state;

	return !memcmp(s->base, s->reference, s->size);
}

static int sort_finish(struct work *work)
{
	return work->options->output ? write_output(work) : 0;
}

static void sort_result(const struct work *work, struct json_object *fields, char *line)
{
	struct sort *s = work->state;
	uint64_t lines = atomic_load(&s->lines);

	put_number(fields, "lines", (int64_t)lines);
	snprintf(line, LINE, "%" PRIu64 " line%s", lines, lines == 1 ? "" : "s");
}

static void sort_release(struct work *work)
{
	struct sort *s = work->state;

	if (!s)
		return;
	apart_unmap(s->buffers, 2 * s->text);
	if (s->reference)
		munmap(s->reference, s->text);
	free(s->begins);
	free(s);
}

const struct job job_sort = {
	.name = "sort",
	.summary = "sort the lines of each file, bytewise, in its mapping",
	.writes = true,
	.prepare = sort_prepare,
	.device = sort_device,
	.cpu = sort_cpu,
	.same = sort_same,
	.finish = sort_finish,
	.result = sort_result,
	.release = sort_release,
};
