// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Bounce buffers: a few blocks with pages that stay there, for small pages on their way home. The
 * driver writes into one, and the mover copies home from there, into pages that the kernel need not
 * clear. That takes half the time of a fresh page in the stage.
 *
 * What has gone home from a buffer stays in it for a moment. So it is given back when the copier
 * has had nothing to do for a while, and before a page is on the device alone: such a page is to be
 * readable nowhere else.
 */
#include "devmem/copy.h"
#include "space/space.h"
#include "space/turn.h"
#include "base/number.h"
#include "base/pool.h"

#include <sys/mman.h>

static enum copy_state state_of(uint32_t i)
{
	return (enum copy_state)(COPY_BOUNCE + i);
}

uint64_t copy_staged(const struct copier *c, enum copy_state state, uint32_t frame)
{
	const struct devmem_space *s = c->d->space;

	if (state == COPY_STAGED)
		return c->stage + frame * s->page;
	if (state == COPY_STAGED_HUGE)
		return c->huge + frame * s->page;
	return c->bounce + (state - COPY_BOUNCE) * s->block + frame % BLOCK_PAGES * s->page;
}

/* ---- the copier's thread ------------------------------------------------------------------- */

enum copy_state bounce_take(const struct copier *c)
{
	for (uint32_t i = 0; i < BOUNCES; i++) {
		if (!c->count[state_of(i)])
			return state_of(i);
	}
	return COPY_STAGED;
}

static void populate(const struct copier *c, enum copy_state state, uint32_t first, uint32_t n)
{
	madvise((void *)(uintptr_t)copy_staged(c, state, first), n * c->d->space->page,
		MADV_POPULATE_WRITE);
}

void bounce_ready(struct copier *c, enum copy_state state, uint32_t first, uint32_t n)
{
	struct bounce *b = &c->buffer[state - COPY_BOUNCE];
	const uint32_t low = first % BLOCK_PAGES;

	b->block = first - low;
	if (!b->holes && b->low <= low && low + n <= b->high)
		return;
	populate(c, state, first, n);
	b->holes |= b->high && (low > b->high || low + n < b->low);
	b->low = b->high ? (uint32_t)min64(b->low, low) : low;
	b->high = (uint32_t)max64(b->high, low + n);
}

/* The next row of pages of the buffer, from *at on, that nobody needs. */
static bool next_unused(const struct copier *c, uint32_t i, uint32_t *at, uint32_t *end)
{
	const struct bounce *b = &c->buffer[i];
	const uint8_t *state = c->state + b->block;

	while (*at < b->high && state[*at] == state_of(i))
		++*at;
	*end = *at;
	while (*end < b->high && state[*end] != state_of(i))
		++*end;
	return *at < *end;
}

static void lock(const struct copier *c)
{
	pthread_mutex_lock(&c->d->mm->region_lock);
	turn_take(c->d->mm);
}

static void unlock(const struct copier *c)
{
	turn_end(c->d->mm);
	pthread_mutex_unlock(&c->d->mm->region_lock);
}

static void discard(const struct copier *c, uint32_t i, uint32_t at, uint32_t end)
{
	const struct bounce *b = &c->buffer[i];

	pool_discard((void *)(uintptr_t)copy_staged(c, state_of(i), b->block + at),
		     (end - at) * c->d->space->page);
}

/* Only this thread puts pages there, so what nobody needs stays so without the lock. */
static void empty(struct copier *c, uint32_t i)
{
	struct bounce *b = &c->buffer[i];
	uint32_t at = b->low;
	uint32_t end;
	bool unused;
	bool all;

	for (; b->high; at = end) {
		lock(c);
		all = !c->count[state_of(i)];
		unused = next_unused(c, i, &at, &end);
		unlock(c);
		if (all) {
			discard(c, i, b->low, b->high);
			*b = (struct bounce){ .block = 0 };
		} else if (unused) {
			discard(c, i, at, end);
			b->holes = true;
		} else {
			return;
		}
	}
}

bool bounce_holds(const struct copier *c)
{
	uint32_t high = 0;

	for (uint32_t i = 0; i < BOUNCES; i++)
		high |= c->buffer[i].high;
	return high;
}

void bounce_empty(struct copier *c)
{
	for (uint32_t i = 0; i < BOUNCES; i++)
		empty(c, i);
}
