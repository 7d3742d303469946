// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What is known of the frames of a region with callbacks. All of it under region_lock. */
#include "devmem/copy.h"
#include "space/space.h"
#include "base/deadline.h"
#include "base/mutation.h"
#include "base/number.h"

#include <errno.h>
#include <string.h>

/* So much may wait in the host's memory for being copied in. */
#define COMING_BYTES (64ULL << 20)

void copy_set(struct copier *c, uint32_t first, uint32_t n, enum copy_state state)
{
	for (uint32_t i = first; i < first + n; i++)
		c->count[c->state[i]]--;
	memset(c->state + first, (int)state, n);
	c->count[state] += n;
}

uint32_t copy_change(struct copier *c, uint32_t first, uint32_t n, enum copy_state from,
		     enum copy_state to)
{
	uint32_t changed = 0;

	for (uint32_t i = first; i < first + n; i++) {
		if (c->state[i] != from)
			continue;
		c->state[i] = (uint8_t)to;
		changed++;
	}
	c->count[from] -= changed;
	c->count[to] += changed;
	return changed;
}

/* Has it run for too long, also as seen by one who waits since `since`? */
static bool overdue_since(const struct copier *c, uint64_t since)
{
	const uint64_t began = atomic_load(&c->since);

	return began && clock_ns() > max64(began, since) + c->timeout;
}

bool copy_overdue(const struct copier *c)
{
	return overdue_since(c, 0);
}

bool copy_busy(const struct copier *c, uint32_t frame)
{
	return frame - c->first < c->n;
}

static uint32_t pages_of(const struct hmm_devmem *d, const struct run *run)
{
	return (uint32_t)((run->end - run->start) / d->space->page);
}

static unsigned int bit_of(const struct copier *c, uint32_t frame)
{
	return COPY_BIT(c->state[frame]);
}

bool copy_row(const struct hmm_devmem *d, struct run *run, unsigned int states)
{
	const struct copier *c = d->copier;
	const uint32_t first = place_frame(run->first);
	const uint32_t n = pages_of(d, run);
	const bool is = bit_of(c, first) & states;
	uint32_t i = 1;

	while (i < n && !(bit_of(c, first + i) & states) == !is)
		i++;
	if (i < n) {
		run->end = run->start + i * d->space->page;
		run->huge = false;
	}
	return is;
}

bool copy_owned(const struct hmm_devmem *d, struct run *run)
{
	return !d->copier || hmm_mutation(HMM_MUTATION_EARLY_OWNED) ||
	       (copy_row(d, run, COPY_OWNED) && !d->copier->lost);
}

bool copy_coming(const struct devmem_space *s, const void *owner, uint64_t start, uint64_t end)
{
	struct run run;

	for (uint64_t at = start; places_next(s, at, end, NULL, &run); at = run.end) {
		const struct hmm_devmem *d = place_devmem(s, run.first);

		if (d->copier && d->options.owner == owner && !copy_overdue(d->copier) &&
		    copy_row(d, &run, COPY_COMING))
			return true;
	}
	return false;
}

void copy_wake(struct copier *c)
{
	atomic_fetch_add(&c->work, 1);
	futex_wake(&c->work);
}

void copy_arrived(struct hmm_devmem *d, uint32_t first, uint32_t n)
{
	if (!d->copier)
		return;
	copy_set(d->copier, first, n, COPY_ARRIVED);
	copy_wake(d->copier);
}

int copy_may_come(const struct hmm_devmem *d)
{
	const struct copier *c = d->copier;

	if (!c)
		return 0;
	if (c->lost || copy_overdue(c))
		return -EIO;
	return c->count[COPY_ARRIVED] * d->space->page > COMING_BYTES ? -EAGAIN : 0;
}

bool copy_free(struct hmm_devmem *d, uint32_t first, uint32_t *n, bool full)
{
	struct copier *c = d->copier;
	const enum copy_state state = (enum copy_state)c->state[first];
	const bool busy = copy_busy(c, first);
	const bool empty = !c->backed && COPY_BIT(state) & (COPY_AWAY | COPY_BOUNCED);
	uint32_t i = 1;

	while (i < *n && c->state[first + i] == state && copy_busy(c, first + i) == busy)
		i++;
	*n = i;
	copy_set(c, first, i, COPY_HOST);
	if (COPY_BIT(state) & COPY_BOUNCED && !c->count[state] && atomic_load(&c->rests))
		copy_wake(c);
	return busy || (full && !empty);
}

uint64_t copy_source(const struct devmem_space *s, place_t place)
{
	const struct copier *c = place_devmem(s, place)->copier;
	const uint32_t frame = place_frame(place);

	if (!c || bit_of(c, frame) & COPY_FRAME)
		return place_addr(s, place);
	if (bit_of(c, frame) & COPY_OUTSIDE)
		return copy_staged(c, (enum copy_state)c->state[frame], frame);
	return 0;
}

bool copy_only_stuck(const struct hmm_devmem *d)
{
	const struct copier *c = d->copier;
	uint32_t stuck = 0;

	if (!c || !(c->lost || copy_overdue(c)))
		return false;
	for (uint32_t i = c->first; i < c->first + c->n; i++)
		stuck += d->to_free[i / 64] >> i % 64 & 1;
	return d->used == stuck;
}

/* ---- what the device has --------------------------------------------------------------------- */

struct copier *copy_touch(struct hmm_mm *mm, uint64_t addr, uint64_t since)
{
	struct devmem_space *s = devmem_of(mm);
	const place_t place = place_at(s, addr);
	struct copier *c = place ? place_devmem(s, place)->copier : NULL;
	const uint32_t frame = place_frame(place);
	enum copy_state state;

	if (!c)
		return NULL;
	state = (enum copy_state)c->state[frame];
	if (state == COPY_FAILED)
		copy_set(c, frame, 1, since ? COPY_LOST : COPY_DEVICE);
	else if (state == COPY_KEPT && !since)
		copy_set(c, frame, 1, COPY_DEVICE);
	else if (since && overdue_since(c, since) && state >= COPY_DEVICE && state <= COPY_OUT)
		copy_set(c, frame, 1, COPY_LOST);
	c->touched = frame;
	c->urgent = true;
	return c;
}

void copy_lose(struct copier *c)
{
	c->lost = true;
	copy_wake(c);
}

void copy_retry(struct devmem_space *s)
{
	for (uint32_t i = 1; s->copiers && i <= REGIONS_MAX; i++) {
		struct copier *c = s->region[i] ? s->region[i]->copier : NULL;

		if (c && c->count[COPY_FAILED] && !c->last)
			copy_change(c, 0, c->d->frames, COPY_FAILED, COPY_DEVICE);
		if (c && c->count[COPY_KEPT] && !c->last)
			copy_change(c, 0, c->d->frames, COPY_KEPT, COPY_DEVICE);
	}
}

void copy_last(struct devmem_space *s)
{
	for (uint32_t i = 1; i <= REGIONS_MAX; i++) {
		if (s->region[i] && s->region[i]->copier)
			s->region[i]->copier->last = true;
	}
}
