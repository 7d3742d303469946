// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Jobs in the holder. */
#include <errno.h>
#include <hmm/migrate.h>
#include "internal.h"

struct job {
	struct walker *w;
	uint64_t timeout_ns;
	uint32_t op;
	uint64_t operand; /* HMM_SEALED_SUM: the sum so far */
};

/* How far from `at` on pages lie in a row, and where. */
static uint64_t row(const struct walker *w, uint64_t at, uint64_t end, uint64_t *offset)
{
	uint64_t to = (at & ~(HMM_PAGE_SIZE - 1)) + HMM_PAGE_SIZE;
	uint64_t next;

	walker_offset(w, at, offset);
	while (to < end && walker_offset(w, to, &next) && next == *offset + (to - at))
		to += HMM_PAGE_SIZE;
	return to < end ? to : end;
}

static int work(struct job *j, uint64_t start, uint64_t end)
{
	int err = 0;

	for (uint64_t at = start; !err && at < end;) {
		struct sealed_message m = { .op = SEALED_JOB + j->op, .value = j->operand };
		const uint64_t to = row(j->w, at, end, &m.offset);

		m.bytes = to - at;
		err = link_ask(&j->w->sealed->link, &m);
		if (!err && j->op == HMM_SEALED_SUM)
			j->operand = m.value;
		at = to;
	}
	return err;
}

/* 0; -EAGAIN: the pages have moved; -errno. */
static int work_if_true(struct job *j, uint64_t start, uint64_t end)
{
	struct link *l = &j->w->sealed->link;
	int err = -EAGAIN;

	pthread_mutex_lock(&l->lock);
	if (walker_holds(j->w))
		err = work(j, start, end);
	pthread_mutex_unlock(&l->lock);
	return sealed_answer(j->w->sealed, err);
}

static int move(const struct job *j, uint64_t start, uint64_t end)
{
	return hmm_migrate_to_device(j->w->sealed->devmem, start, end, j->timeout_ns, NULL);
}

/* The first page goes there, and those behind it as far as they can. */
static int fetch(const struct job *j, uint64_t start, uint64_t end)
{
	const uint64_t page = (uint64_t)getpagesize();
	const uint64_t first = start & ~(page - 1);
	const uint64_t last = (end + page - 1) & ~(page - 1);
	int err = last - first > page ? move(j, first + page, last) : 0;

	if (err && err != -ENOENT)
		return err;
	err = move(j, first, first + page);
	return sealed_answer(j->w->sealed, err == -EIO && j->w->sealed->link.dead ? -EPIPE : err);
}

/* How far from `start` on pages are there. */
static uint64_t there(const struct walker *w, uint64_t start, uint64_t end)
{
	uint64_t offset;
	uint64_t at = start;

	while (at < end && walker_offset(w, at, &offset))
		at = (at & ~(HMM_PAGE_SIZE - 1)) + HMM_PAGE_SIZE;
	return at < end ? at : end;
}

/* At most a block. Pages that the CPU takes meanwhile are fetched again, one by one if need be. */
static int run_block(struct job *j, uint64_t start, uint64_t end)
{
	while (start < end) {
		uint64_t to = start;
		int err = walker_look(j->w, start, end);

		if (!err)
			to = there(j->w, start, end);
		if (!err)
			err = to > start ? work_if_true(j, start, to) : fetch(j, start, end);
		if (err && err != -EAGAIN)
			return err;
		if (!err && to > start) {
			start = to;
			walker_progress(j->w);
		} else if (walker_is_late(j->w)) {
			return -EBUSY;
		}
	}
	return 0;
}

static int run(struct hmm_sealed *s, struct job *j, uint64_t start, uint64_t end)
{
	int err = walker_open(s, start, end, j->timeout_ns, &j->w);
	uint64_t to;

	if (err)
		return err;
	for (uint64_t at = start; !err && at < end; at = to) {
		to = walker_block(at, end);
		err = run_block(j, at, to);
	}
	walker_close(j->w);
	return err;
}

static int check(const struct hmm_sealed *s, uint32_t op, uint64_t start, uint64_t end)
{
	if (op > HMM_SEALED_SUM || start >= end || start % 8 || end % 8)
		return -EINVAL;
	if (op == HMM_SEALED_SUM && s->policy == HMM_SEALED_NEVER)
		return -EACCES;
	return s->program == getpid() ? 0 : -ESRCH;
}

int hmm_sealed_run(struct hmm_sealed *s, enum hmm_sealed_job op, uint64_t start, uint64_t end,
		   uint64_t operand, uint64_t timeout_ns, uint64_t *result)
{
	struct job j = { .timeout_ns = timeout_ns, .op = op, .operand = operand };
	int err = s ? check(s, op, start, end) : -EINVAL;
	int old;

	if (err)
		return err;
	old = cancel_off();
	err = run(s, &j, start, end);
	cancel_back(old);
	if (!err && result)
		*result = j.operand;
	return err;
}
