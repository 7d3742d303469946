// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Home. A page is moved where the kernel does that. If the program has changed the permissions of
 * the mapping, or locked it, while the page was away the kernel refuses, and the page is copied.
 * Devices have stopped meanwhile, so nobody writes it.
 */
#include "devmem/devmem.h"
#include "devmem/moving.h"
#include "notifier/notifier.h"
#include "engine/gate.h"
#include "space/space.h"
#include "provider/provider.h"
#include "kernel/pagemap.h"
#include "base/deadline.h"
#include "base/log.h"
#include "base/mutation.h"
#include "base/number.h"
#include "base/trace.h"

#include <errno.h>

/* How long the gate is kept closed for further blocks. */
#define TURN_NS 50000ULL

static void tell(struct hmm_mm *mm, const struct hmm_devmem *d, uint64_t start, uint64_t end)
{
	struct hmm_invalidation inv = {
		.start = start,
		.end = end,
		.event = d->exclusive ? HMM_EVENT_EXCLUSIVE : HMM_EVENT_MIGRATE,
		.owner = d->options.owner,
	};

	if (!hmm_mutation(HMM_MUTATION_HOME_SILENT))
		notifiers_invalidate(mm, &inv);
}

static bool ends(int64_t ret)
{
	return ret == -EAGAIN || ret == -ESRCH || ret == -EBADF || ret == -ENOMEM || ret == -ENOTTY;
}

/*
 * One page that cannot be moved, for the reason `err`. Returns the bytes that are done, or -errno.
 * Afterwards nobody needs what is in the frame.
 */
static int64_t settle(struct hmm_mm *mm, uint64_t to, uint64_t from, uint64_t page, int err)
{
	const struct provider_move *ops = mm->provider.ops->move;
	int64_t ret = err;

	/*
	 * -EEXIST may be a marker in the page table, over which the kernel copies and does not
	 * move. If there is a page it is what the program works with.
	 */
	if (!ends(err)) {
		/* A copy of a page that is not there would wait for this very thread. */
		ret = ops->zero(&mm->provider, from, page);
		if (!ends(ret))
			ret = ops->copy(&mm->provider, to, from, page);
	}
	if (ends(ret))
		return ret;
	if (ret == -EEXIST)
		ops->wake(&mm->provider, to, page);
	else if (ret < 0)
		log_say(HMM_LOG_ERROR, "a page in device memory could not be brought home: its "
				       "mapping is no longer registered with the library. Its "
				       "content is lost.");
	return (int64_t)page;
}

/* The same of a row, or its first page: they become other pages. */
static int64_t copy_row(struct hmm_mm *mm, uint64_t to, uint64_t from, uint64_t bytes)
{
	int64_t n = -EAGAIN;

	if (pagemap_all_present(mm_pagemap(mm), from, from + bytes) == 1)
		n = mm->provider.ops->move->copy(&mm->provider, to, from, bytes);
	return n > 0 ? n : settle(mm, to, from, devmem_of(mm)->page, -EINVAL);
}

static void account(struct hmm_devmem *d, const struct run *run, uint64_t at, uint64_t bytes,
		    bool copied)
{
	const uint64_t page = d->space->page;
	const uint32_t first = place_frame(run->first) + (uint32_t)((at - run->start) / page);

	if (places_take(d->space, at, at + bytes))
		return; /* it is at home all the same, and the next move finds it there */
	frames_free(d, first, (uint32_t)(bytes / page), copied);
	count(&d->stats.moved_home, bytes);
	if (copied)
		count(&d->stats.copied_home, bytes);
}

int home_run(struct hmm_mm *mm, const struct run *run, uint64_t *done)
{
	const struct provider_move *ops = mm->provider.ops->move;
	struct devmem_space *s = devmem_of(mm);
	struct hmm_devmem *d = place_devmem(s, run->first);
	const uint64_t from = place_addr(s, run->first);
	uint64_t step = run->end - run->start;
	uint64_t at = run->start;

	tell(mm, d, run->start, run->end);
	/* Before a thread that waits for the page goes on. */
	frames_revoke(d, place_frame(run->first), (uint32_t)((run->end - run->start) / s->page));
	if (hmm_mutation(HMM_MUTATION_EARLY_TAKE))
		places_take(s, run->start, run->end);
	while (at < run->end) {
		const uint64_t frame = from + (at - run->start);
		int64_t n = d->copies ? copy_row(mm, at, frame, run->end - at) : -ENOMEM;
		bool copied = n > 0;

		if (n == -ENOMEM)
			n = ops->move(&mm->provider, at, frame, min64(step, run->end - at));
		/* It may lie in several mappings by now. */
		if (n < 0 && n != -EAGAIN && step > s->page) {
			step = s->page;
			continue;
		}
		if (n < 0) {
			n = settle(mm, at, frame, s->page, (int)n);
			copied = true;
		}
		if (n < 0) {
			*done = at;
			hmm_trace(home, mm, run->start, at, n, d->options.owner);
			return n == -EBADF || n == -ENOTTY ? -ESRCH : (int)n;
		}
		account(d, run, at, (uint64_t)n, copied);
		at += (uint64_t)n;
	}
	*done = at;
	hmm_trace(home, mm, run->start, at, 0, d->options.owner);
	return 0;
}

/* The gate is closed. A few blocks, as closing it costs more than moving a huge page. */
static int home_blocks(struct hmm_mm *mm, uint64_t *at, uint64_t end, const struct hmm_devmem *only)
{
	const struct devmem_space *s = devmem_of(mm);
	const uint64_t until = clock_ns() + TURN_NS;
	uint64_t block = *at & ~(s->block - 1);
	struct run run;
	int err = 0;

	while (!err && places_next(s, *at, end, only, &run)) {
		if (run.start - block >= s->block) {
			*at = run.start;
			block = *at & ~(s->block - 1);
			if (clock_ns() >= until)
				return 0;
		}
		err = home_run(mm, &run, at);
	}
	if (!err)
		*at = end;
	return err;
}

/* What is away from *at on, as far as one turn goes. R is held. */
static int home_turn(struct hmm_mm *mm, uint64_t *at, uint64_t end, const struct hmm_devmem *only,
		     uint64_t deadline)
{
	struct devmem_space *s = devmem_of(mm);
	const bool open = hmm_mutation(HMM_MUTATION_HOME_OPEN);
	struct run run;
	int err;

	if (!places_next(s, *at, end, only, &run)) {
		*at = end;
		return 0;
	}
	*at = run.start;
	if (!moving_begin(mm))
		return -EAGAIN;
	err = open ? 0 : gate_close(mm, deadline);
	if (!err) {
		err = home_blocks(mm, at, end, only);
		if (!open)
			gate_open(mm);
	}
	moving_end(mm);
	return err;
}

int devmem_home(struct hmm_mm *mm, uint64_t start, uint64_t end, const struct hmm_devmem *only,
		uint64_t timeout_ns)
{
	uint64_t deadline = deadline_after(timeout_ns);
	uint64_t at;
	unsigned int round = 0;
	uint64_t page;

	if (!devmem_of(mm))
		return 0;
	page = devmem_of(mm)->page;
	at = start & ~(page - 1);
	end = end > -page ? UINT64_MAX : (end + page - 1) & ~(page - 1);
	while (at < end) {
		const uint64_t was = at;
		sigset_t old;
		int err;

		moving_let_pump(mm);
		moving_mask(&old);
		err = deadline_lock(&mm->region_lock, deadline);
		if (!err) {
			err = home_turn(mm, &at, end, only, deadline);
			pthread_mutex_unlock(&mm->region_lock);
		}
		moving_unmask(&old);
		if (at > was) {
			deadline = deadline_after(timeout_ns);
			round = 0;
		}
		if (err && err != -EAGAIN)
			return err;
		if (err && mm_alive(mm))
			return -ESRCH;
		if (err && deadline_passed(deadline))
			return -ETIME;
		if (err)
			deadline_pause(round++);
	}
	return 0;
}
