// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Home. A page is moved where the kernel does that. If the mapping may not be written, or is
 * locked, the kernel refuses, and the page is copied. Devices have stopped meanwhile, so nobody
 * writes it.
 */
#include "devmem/copy.h"
#include "devmem/devmem.h"
#include "devmem/moving.h"
#include "notifier/notifier.h"
#include "engine/gate.h"
#include "space/space.h"
#include "space/turn.h"
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
/* how many blocks a device copies out while others go home */
#define AHEAD_BLOCKS 8
/* How long a mover sleeps before it looks at a device again. */
#define COPIED_NS 10000000ULL

struct hmm_invalidation home_news(const struct hmm_devmem *d, uint64_t start, uint64_t end)
{
	return (struct hmm_invalidation){
		.start = start,
		.end = end,
		.event = d->exclusive ? HMM_EVENT_EXCLUSIVE : HMM_EVENT_MIGRATE,
		.owner = d->options.owner,
	};
}

/* Before a thread that waits for the page goes on. */
static void revoke_row(struct hmm_devmem *d, const struct run *run)
{
	frames_revoke(d, place_frame(run->first),
		      (uint32_t)((run->end - run->start) / d->space->page));
}

bool home_begin(struct hmm_mm *mm, struct hmm_devmem *d, const struct run *run)
{
	struct hmm_invalidation inv = home_news(d, run->start, run->end);

	moving_pause(mm);
	if (!hmm_mutation(HMM_MUTATION_HOME_SILENT))
		notifiers_invalidate(mm, &inv);
	if (!moving_resume(mm) && !d->space->rescued)
		return false;
	revoke_row(d, run);
	return true;
}

bool page_is(struct hmm_mm *mm, uint64_t page, uint64_t any)
{
	const uint64_t end = page + devmem_of(mm)->page;
	struct page_run run;
	uint64_t walked;
	size_t n = 1;

	return pagemap_runs(mm_pagemap(mm), page, end, &run, &n, &walked) ||
	       (n && run.categories & any);
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
	if (!home_ends(err)) {
		/* A copy of a page that is not there would wait for this very thread. */
		ret = ops->zero(&mm->provider, from, page);
		if (!home_ends(ret))
			ret = ops->copy(&mm->provider, to, from, page);
	}
	if (home_ends(ret))
		return ret;
	if (ret == -EEXIST)
		ops->wake(&mm->provider, to, page);
	else if (ret < 0)
		log_say(HMM_LOG_ERROR, "a page in device memory could not be brought home: its "
				       "mapping is no longer registered with the library. Its "
				       "content is lost.");
	return (int64_t)page;
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

int home_row(struct hmm_mm *mm, const struct run *run, uint64_t from, uint64_t *done)
{
	const struct provider_move *ops = mm->provider.ops->move;
	struct devmem_space *s = devmem_of(mm);
	struct hmm_devmem *d = place_devmem(s, run->first);
	uint64_t step = run->end - run->start;
	uint64_t at = run->start;

	if (hmm_mutation(HMM_MUTATION_EARLY_TAKE))
		places_take(s, run->start, run->end);
	while (at < run->end) {
		const uint64_t frame = from + (at - run->start);
		int64_t n = d->copies ? settle(mm, at, frame, s->page, -EINVAL) : -ENOMEM;
		bool copied = n > 0;

		if (n == -ENOMEM)
			n = ops->move(&mm->provider, at, frame, min64(step, run->end - at));
		/* It may lie in several mappings by now, or in one that may not be written. */
		if (n < 0 && n != -EAGAIN && step > s->page) {
			step = s->page;
			if (!run->huge || at > run->start || !page_is(mm, frame, PAGE_IS_HUGE))
				continue;
			n = ops->copy(&mm->provider, at, frame, run->end - at);
			if (n <= 0)
				continue;
			copied = true;
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

int home_run(struct hmm_mm *mm, const struct run *run, uint64_t *done)
{
	struct devmem_space *s = devmem_of(mm);
	struct hmm_devmem *d = place_devmem(s, run->first);

	if (d->copier)
		return copy_home(mm, run, done);
	*done = run->start;
	return home_begin(mm, d, run) ? home_row(mm, run, place_addr(s, run->first), done) : -EINTR;
}

int home_untold(struct hmm_mm *mm, const struct run *run, uint64_t *done)
{
	struct devmem_space *s = devmem_of(mm);

	revoke_row(place_devmem(s, run->first), run);
	return home_row(mm, run, place_addr(s, run->first), done);
}

/* How a range goes home. */
struct going {
	const struct hmm_devmem *only; /* of this region, or NULL */
	uint64_t end;
	uint64_t deadline;
	bool tried;    /* devices are asked again for what they did not give before */
	bool hopeless; /* no device is waited for any more */
	int err;       /* of what was left behind */
};

/* Devices are asked for the rows that come next, so that they copy meanwhile. 0; -EINTR. */
static int ask_ahead(struct hmm_mm *mm, const struct going *g, uint64_t at)
{
	const struct devmem_space *s = devmem_of(mm);
	const uint64_t end = min64(g->end, at + AHEAD_BLOCKS * s->block);
	struct run run;
	int err = 0;

	for (; !err && at < end && places_next(s, at, end, g->only, &run); at = run.end)
		err = copy_ask(mm, &run);
	return err;
}

/* A device does not give the row, or is slow. 0: the mover goes on behind it. */
static int left(struct hmm_mm *mm, struct going *g, const struct run *run, uint64_t *at, int err)
{
	if (err == -EINPROGRESS && !g->hopeless)
		return ask_ahead(mm, g, *at) ? -EINTR : err;
	if (err != -EIO && err != -EINPROGRESS)
		return err;
	g->err = err == -EIO ? err : -ETIME;
	*at = run->end;
	return 0;
}

/* The gate is closed. A few blocks, as closing it costs more than moving a huge page. */
static int home_blocks(struct hmm_mm *mm, struct going *g, uint64_t *at)
{
	const struct devmem_space *s = devmem_of(mm);
	const uint64_t until = clock_ns() + TURN_NS;
	uint64_t block = *at & ~(s->block - 1);
	struct run run;
	int err = 0;

	while (!err && places_next(s, *at, g->end, g->only, &run)) {
		if (run.start - block >= s->block) {
			*at = run.start;
			block = *at & ~(s->block - 1);
			if (clock_ns() >= until)
				return 0;
		}
		err = home_run(mm, &run, at);
		err = left(mm, g, &run, at, err);
	}
	if (!err)
		*at = g->end;
	return err;
}

/* What is away from *at on, as far as one turn goes. R is held. */
static int home_turn(struct hmm_mm *mm, struct going *g, uint64_t *at)
{
	struct devmem_space *s = devmem_of(mm);
	const bool open = hmm_mutation(HMM_MUTATION_HOME_OPEN);
	struct run run;
	bool away;
	int err;

	turn_take(mm);
	if (!g->tried)
		copy_retry(s);
	g->tried = true;
	away = places_next(s, *at, g->end, g->only, &run);
	turn_end(mm);
	if (!away) {
		*at = g->end;
		return 0;
	}
	*at = run.start;
	err = open ? 0 : gate_close(mm, g->deadline);
	if (err)
		return err;
	err = -EAGAIN;
	if (moving_begin(mm)) {
		err = home_blocks(mm, g, at);
		moving_end(mm);
	}
	if (!open)
		gate_open(mm);
	return err == -EINTR ? -EAGAIN : err;
}

static int home_locked(struct hmm_mm *mm, struct going *g, uint64_t *at)
{
	sigset_t old;
	int err;

	moving_let_pump(mm);
	moving_mask(&old);
	err = deadline_lock(&mm->region_lock, g->deadline);
	if (!err) {
		err = home_turn(mm, g, at);
		pthread_mutex_unlock(&mm->region_lock);
	}
	moving_unmask(&old);
	return err;
}

int devmem_home(struct hmm_mm *mm, uint64_t start, uint64_t end, const struct hmm_devmem *only,
		uint64_t timeout_ns)
{
	struct going g = { .only = only, .deadline = deadline_after(timeout_ns) };
	struct devmem_space *s = devmem_of(mm);
	unsigned int round = 0;
	uint64_t at;

	if (!s)
		return 0;
	at = start & ~(s->page - 1);
	g.end = end > -s->page ? UINT64_MAX : (end + s->page - 1) & ~(s->page - 1);
	while (at < g.end) {
		const uint32_t seen = atomic_load(&s->copied);
		const uint64_t was = at;
		int err = home_locked(mm, &g, &at);

		if (at > was) {
			g.deadline = g.hopeless ? g.deadline : deadline_after(timeout_ns);
			round = 0;
		}
		if (err && err != -EAGAIN && err != -EINPROGRESS)
			return err;
		if (err && mm_alive(mm))
			return -ESRCH;
		if (err == -EINPROGRESS && deadline_passed(g.deadline)) {
			/* What other devices have comes home all the same. */
			g.hopeless = true;
			g.deadline = deadline_after(timeout_ns);
		} else if (err == -EINPROGRESS) {
			futex_wait(&s->copied, seen,
				   min64(COPIED_NS, deadline_slice_ns(g.deadline)));
		} else if (err && deadline_passed(g.deadline)) {
			return -ETIME;
		} else if (err) {
			deadline_pause(round++);
		}
	}
	return g.err;
}
