// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Home: ranges, a few blocks at a time. */
#include "devmem/copy.h"
#include "devmem/devmem.h"
#include "devmem/moving.h"
#include "engine/gate.h"
#include "space/space.h"
#include "space/turn.h"
#include "base/deadline.h"
#include "base/mutation.h"
#include "base/number.h"
#include "base/trace.h"

#include <errno.h>

/* How long the gate is kept closed for further blocks. */
#define TURN_NS 50000ULL
/* how many blocks a device copies out while others go home: as many as there are buffers */
#define AHEAD_BLOCKS BOUNCES
/* how many small pages a mover copies home before it looks at the time */
#define COPIED_PAGES 128
/* How long a mover sleeps before it looks at a device again. */
#define COPIED_NS 10000000ULL

int home_run(struct hmm_mm *mm, const struct run *run, uint64_t *done)
{
	struct devmem_space *s = devmem_of(mm);
	struct hmm_devmem *d = place_devmem(s, run->first);

	if (d->copier)
		return copy_home(mm, run, done);
	*done = run->start;
	return home_begin(mm, d, run) ? home_row(mm, run, place_addr(s, run->first), done) : -EINTR;
}

/* How a range goes home. */
struct going {
	const struct hmm_devmem *only; /* of this region, or NULL */
	uint64_t start;
	uint64_t end;
	uint32_t moves;  /* the space's, when the mover began at the start */
	uint32_t passes; /* how often it has begun there once more */
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

/* The row becomes several huge pages if others follow, and still are huge. */
static void add_huge(struct hmm_mm *mm, uint64_t end, struct run *run)
{
	const struct devmem_space *s = devmem_of(mm);
	const struct hmm_devmem *d = place_devmem(s, run->first);
	const uint64_t from = place_addr(s, run->first);
	const uint64_t one = run->end;

	if (!run->huge || one - run->start < s->block || d->copier || d->copies ||
	    !mm_pagemap(mm)->scan)
		return;
	places_add_huge(s, min64(end, run->start + HUGE_AT_ONCE * s->block), run);
	end = from + (run->end - run->start);
	if (run->end > one)
		run->end = max64(one, run->start + (huge_until(mm, from, end) - from));
}

/* How far the mover goes before it looks at the time. */
static uint64_t part_end(const struct devmem_space *s, const struct run *run)
{
	if (place_devmem(s, run->first)->copier && !run->huge)
		return run->start + COPIED_PAGES * s->page;
	return max64(run->end, block_above(s, run->start));
}

/* The gate is closed. A few blocks, as closing it costs more than moving a huge page. */
static int home_blocks(struct hmm_mm *mm, struct going *g, uint64_t *at)
{
	const struct devmem_space *s = devmem_of(mm);
	const uint64_t until = g->end - *at > s->page ? clock_ns() + TURN_NS : 0;
	uint64_t part = UINT64_MAX;
	struct run run;
	int err = 0;

	while (!err && places_next(s, *at, g->end, g->only, &run)) {
		if (run.start >= part) {
			*at = run.start;
			if (clock_ns() >= until)
				return 0;
			part = UINT64_MAX;
		}
		add_huge(mm, g->end, &run);
		part = min64(part, part_end(s, &run));
		run.end = min64(run.end, part);
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
	uint64_t old;
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

/*
 * The program may have moved a page (mremap) from behind the mover to before it. Then the mover
 * begins once more. True: there may be such a page.
 */
static bool has_passed(struct hmm_mm *mm, struct going *g, uint64_t *at)
{
	const struct devmem_space *s = devmem_of(mm);
	const uint32_t moves = atomic_load(&s->moves);
	struct run run;
	bool away = true;
	uint64_t old;

	if (moves == g->moves)
		return false;
	moving_let_pump(mm);
	moving_mask(&old);
	if (!deadline_lock(&mm->region_lock, g->deadline)) {
		turn_take(mm);
		away = places_next(s, g->start, g->end, g->only, &run);
		turn_end(mm);
		pthread_mutex_unlock(&mm->region_lock);
	}
	moving_unmask(&old);
	g->moves = moves;
	*at = g->start;
	return away;
}

/* [*at, g->end). 0; -errno. */
static int home_pass(struct hmm_mm *mm, struct going *g, uint64_t *at, uint64_t timeout_ns)
{
	struct devmem_space *s = devmem_of(mm);
	unsigned int round = 0;

	while (*at < g->end) {
		const uint32_t seen = atomic_load(&s->copied);
		const uint64_t was = *at;
		int err = home_locked(mm, g, at);

		if (*at > was && !g->passes) {
			g->deadline = g->hopeless ? g->deadline : deadline_after(timeout_ns);
			round = 0;
		}
		if (err && err != -EAGAIN && err != -EINPROGRESS)
			return err;
		if (err && mm_alive(mm))
			return -ESRCH;
		if (err == -EINPROGRESS && deadline_passed(g->deadline)) {
			/* What other devices have comes home all the same. */
			g->hopeless = true;
			g->deadline = deadline_after(timeout_ns);
		} else if (err == -EINPROGRESS) {
			futex_wait(&s->copied, seen,
				   min64(COPIED_NS, deadline_slice_ns(g->deadline)));
		} else if (err && deadline_passed(g->deadline)) {
			return -ETIME;
		} else if (err) {
			deadline_pause(round++);
		}
	}
	return 0;
}

int devmem_home(struct hmm_mm *mm, uint64_t start, uint64_t end, const struct hmm_devmem *only,
		uint64_t timeout_ns)
{
	struct going g = { .only = only, .deadline = deadline_after(timeout_ns) };
	struct devmem_space *s = devmem_of(mm);
	uint64_t at;
	int err;

	if (!s)
		return 0;
	at = start & ~(s->page - 1);
	g.end = end > -s->page ? UINT64_MAX : (end + s->page - 1) & ~(s->page - 1);
	g.start = at;
	g.moves = atomic_load(&s->moves);
	err = home_pass(mm, &g, &at, timeout_ns);
	while (!err && has_passed(mm, &g, &at))
		err = g.passes++ && deadline_passed(g.deadline)
			      ? -ETIME
			      : home_pass(mm, &g, &at, timeout_ns);
	return err ? err : g.err;
}
