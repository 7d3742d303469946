// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The way home from a region with callbacks: what a row of pages needs, by the state of its frames.
 */
#include "devmem/copy.h"
#include "space/space.h"
#include "provider/provider.h"
#include "base/deadline.h"
#include "base/log.h"
#include "base/mutation.h"
#include "base/number.h"

#include <errno.h>
#include <string.h>

static uint32_t pages_of(const struct hmm_devmem *d, const struct run *run)
{
	return (uint32_t)((run->end - run->start) / d->space->page);
}

/* ---- asking the device --------------------------------------------------------------------- */

static bool has_to_ask(const struct hmm_devmem *d, const struct run *run)
{
	const uint8_t *state = d->copier->state + place_frame(run->first);

	return !d->copier->lost && memchr(state, COPY_DEVICE, pages_of(d, run));
}

static void ask(struct hmm_devmem *d, const struct run *run)
{
	struct copier *c = d->copier;
	const uint32_t first = place_frame(run->first);

	if (copy_change(c, first, pages_of(d, run), COPY_DEVICE, COPY_WANTED))
		copy_wake(c);
	if (c->urgent && c->touched - first < pages_of(d, run) &&
	    copy_change(c, c->touched, 1, COPY_WANTED, COPY_TOUCHED)) {
		atomic_store(&c->hurry, true);
		copy_wake(c);
	}
}

int copy_ask(struct hmm_mm *mm, const struct run *run)
{
	struct hmm_devmem *d = place_devmem(devmem_of(mm), run->first);

	if (!d->copier || copy_overdue(d->copier) || !has_to_ask(d, run))
		return 0;
	if (!home_begin(mm, d, run))
		return -EINTR;
	ask(d, run);
	return 0;
}

/* ---- the way home --------------------------------------------------------------------------- */

enum way { FROM_FRAME, FROM_STAGE, FROM_BOUNCE, POISON, WAIT, BROKEN };

static enum way way_of(const struct copier *c, enum copy_state state)
{
	if (COPY_BIT(state) & COPY_BOUNCED)
		return FROM_BOUNCE;
	switch (state) {
	case COPY_HOST:
	case COPY_ARRIVED:
		return FROM_FRAME;
	case COPY_IN:
		return copy_overdue(c) ? FROM_FRAME : WAIT;
	case COPY_DROP:
		return WAIT;
	case COPY_STAGED:
	case COPY_STAGED_HUGE:
		return FROM_STAGE;
	case COPY_LOST:
		return POISON;
	case COPY_FAILED:
	case COPY_KEPT:
		return c->lost || c->last ? POISON : BROKEN;
	default:
		break;
	}
	if (c->lost)
		return POISON;
	if (copy_overdue(c))
		return c->last ? POISON : BROKEN;
	return WAIT;
}

/* Cuts the row down to what goes the same way. */
static enum way first_way(const struct hmm_devmem *d, struct run *run)
{
	const enum copy_state state = (enum copy_state)d->copier->state[place_frame(run->first)];

	copy_row(d, run, COPY_BIT(state));
	return way_of(d->copier, state);
}

/* Each later touch of the page is SIGBUS. Returns the bytes that are done, or -errno. */
static int64_t poison(struct hmm_mm *mm, uint64_t addr, uint64_t page)
{
	const struct provider_move *ops = mm->provider.ops->move;
	int64_t ret;

	if (hmm_mutation(HMM_MUTATION_LOST_ZEROS))
		return ops->zero(&mm->provider, addr, page);
	ret = ops->poison(mm->provider.fd.fd, addr, page);
	/* A marker in the page table may be in the way. */
	if (ret == -EEXIST && !ops->unmark(&mm->provider, addr, page))
		ret = ops->poison(mm->provider.fd.fd, addr, page);
	if (home_ends(ret))
		return ret;
	/* There is a page of the program's, or no such mapping any more. */
	if (ret < 0)
		ops->wake(&mm->provider, addr, page);
	return (int64_t)page;
}

void copy_withhold(struct hmm_mm *mm, uint64_t addr, int *err)
{
	const struct devmem_space *s = devmem_of(mm);
	const place_t place = place_at(s, addr);
	const struct copier *c = place_devmem(s, place)->copier;
	int64_t n;

	if (!c || c->state[place_frame(place)] != COPY_KEPT)
		return;
	n = poison(mm, addr, s->page);
	*err = n < 0 ? (int)n : 0;
}

static void say_lost(struct hmm_devmem *d)
{
	if (!d->copier->said)
		log_say(HMM_LOG_ERROR, "a device does not give pages of the program back: their "
				       "content is lost, and touching them is SIGBUS.");
	d->copier->said = true;
	d->space->any_lost = true;
}

static int poison_row(struct hmm_mm *mm, struct hmm_devmem *d, const struct run *run, uint64_t *at)
{
	const uint64_t page = d->space->page;

	say_lost(d);
	for (*at = run->start; *at < run->end; *at += page) {
		const uint32_t i = (uint32_t)((*at - run->start) / page);
		int64_t n;

		/* Before a thread that waits for the page goes on. */
		count(&d->stats.lost, page);
		n = poison(mm, *at, page);
		if (n < 0) {
			count(&d->stats.lost, -page);
			return n == -EBADF || n == -ENOTTY ? -ESRCH : (int)n;
		}
		if (places_take(d->space, *at, *at + page))
			return -ENOMEM;
		frames_free(d, place_frame(run->first) + i, 1, true);
	}
	return 0;
}

static int go(struct hmm_mm *mm, struct hmm_devmem *d, const struct run *run, enum way way,
	      uint64_t *at)
{
	const uint32_t frame = place_frame(run->first);
	const enum copy_state state = (enum copy_state)d->copier->state[frame];

	*at = run->start;
	switch (way) {
	case FROM_FRAME:
		return home_row(mm, run, place_addr(d->space, run->first), at);
	case FROM_STAGE:
		return home_row(mm, run, copy_staged(d->copier, state, frame), at);
	case FROM_BOUNCE:
		return home_bounced(mm, run, copy_staged(d->copier, state, frame), at);
	case POISON:
		return poison_row(mm, d, run, at);
	case WAIT:
		return -EINPROGRESS;
	default:
		return -EIO;
	}
}

/* Does the device have some of it, of which it is to be told? */
static bool is_owned(const struct hmm_devmem *d, const struct run *run)
{
	const struct copier *c = d->copier;
	const uint8_t *state = c->state + place_frame(run->first);
	const uint32_t n = pages_of(d, run);

	if (memchr(state, COPY_DEVICE, n))
		return true;
	return (c->lost || c->last) &&
	       (memchr(state, COPY_FAILED, n) || memchr(state, COPY_KEPT, n));
}

int copy_home(struct hmm_mm *mm, const struct run *run, uint64_t *done)
{
	struct hmm_devmem *d = place_devmem(devmem_of(mm), run->first);
	struct run row = *run;
	int result = 0;
	int err = 0;

	*done = run->start;
	/* What is on its way home no driver knows any more. */
	if (is_owned(d, run) && !hmm_mutation(HMM_MUTATION_OUT_SILENT) && !home_begin(mm, d, run))
		return -EINTR;
	if (!copy_overdue(d->copier) || d->copier->urgent)
		ask(d, run);
	while (!err && row.start < run->end) {
		uint64_t at;

		row.end = run->end;
		row.huge = run->huge;
		err = go(mm, d, &row, first_way(d, &row), &at);
		/* *done is where the first page is that was left. */
		if (!result)
			*done = at;
		if (err == -EINPROGRESS || (err == -EIO && !result))
			result = err;
		if (err == -EINPROGRESS || err == -EIO)
			err = 0;
		row.first += pages_of(d, &row);
		row.start = row.end;
	}
	if (!err && result == -EIO)
		*done = run->end;
	return err ? err : result;
}
