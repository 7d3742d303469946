// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Coherent device memory. A page of the program becomes one of the region's, at its old address:
 *
 *	P -> transit	the page moves out, as to private memory: the CPU's touches wait
 *	transit => slot	its content is copied to a page that the region has there
 *	slot -> P	that page moves to the program's address
 *
 * Each step leaves a state that is good for ever. Up to the last the page is in private memory, and
 * a touch that comes in between brings it home. On its way back a page moves to `transit`, too, and
 * comes home from there as a copy, in a new page of the system's, or if there is no memory for that
 * as the page that it is. The locks and the gate are those of private memory, for the steps are.
 */
#include "migrate/migrate.h"
#include "mm/fork.h"
#include "devmem/moving.h"
#include "space/space.h"
#include "space/turn.h"
#include "provider/provider.h"
#include "kernel/pagemap.h"
#include "base/deadline.h"
#include "base/mutation.h"
#include "base/number.h"
#include "base/pool.h"

#include <errno.h>

/* So much passes at a time. */
#define STEP (2ULL << 20)

/* ---- transit to the program's address ------------------------------------------------------- */

/* A copy of what is not there would wait for this very thread. */
static void make_present(struct hmm_mm *mm, uint64_t start, uint64_t bytes, uint64_t page)
{
	const struct provider_move *ops = mm->provider.ops->move;

	if (pagemap_all_present(mm_pagemap(mm), start, start + bytes) == 1)
		return;
	for (uint64_t at = start; at < start + bytes; at += page)
		ops->zero(&mm->provider, at, page);
}

/* Fills frames of the region from `from` on. Returns the bytes, or -errno. */
static int64_t fill_slots(struct migration *m, uint64_t from, uint32_t want, uint32_t *slot)
{
	const struct provider_move *ops = m->mm->provider.ops->move;
	struct hmm_devmem *d = m->into;
	const uint32_t n = frames_take(d, want, false, false, slot);
	uint32_t done;
	int64_t got;

	if (!n)
		return d->dying ? -EAGAIN : -ENOSPC;
	make_present(m->mm, from, n * m->s->page, m->s->page);
	got = ops->copy(&m->mm->provider, d->base + *slot * m->s->page, from, n * m->s->page);
	done = got > 0 ? (uint32_t)((uint64_t)got / m->s->page) : 0;
	/* A device that touched what was not its has made a page there. */
	if (done < n)
		frames_free(d, *slot + done, n - done, got == -EEXIST);
	return got == -EEXIST ? -EAGAIN : got;
}

/* The row, or its beginning. *at: how far it came. */
static int land_row(struct migration *m, const struct run *run, uint64_t *at)
{
	const uint64_t page = m->s->page;
	struct hmm_devmem *d = m->into;
	uint32_t slot;
	uint32_t n;
	int64_t moved;
	int64_t got = fill_slots(m, place_addr(m->s, run->first),
				 (uint32_t)((run->end - run->start) / page), &slot);

	if (got < 0)
		return (int)got;
	if (hmm_mutation(HMM_MUTATION_EARLY_LAND))
		places_take(m->s, run->start, run->start + (uint64_t)got);
	moved = devmem_move(m->mm, run->start, d->base + slot * page, (uint64_t)got);
	n = moved > 0 ? (uint32_t)((uint64_t)moved / page) : 0;
	if ((uint64_t)got > n * page)
		frames_free(d, slot + n, (uint32_t)((uint64_t)got / page) - n, true);
	if (!n)
		return (int)moved;
	*at = run->start + (uint64_t)moved;
	places_take(m->s, run->start, *at); /* does not fail, as there is a reserve */
	frames_free(m->d, place_frame(run->first), n, true);
	count(&d->stats.moved_out, (uint64_t)moved);
	if (coherent_put(m->s, run->start, *at, d->id << FRAME_BITS | slot)) {
		frames_free(d, slot, n, false);
		count(&d->stats.moved_home, (uint64_t)moved);
	}
	m->result.moved += (uint64_t)moved / HMM_PAGE_SIZE;
	return 0;
}

/* R is held. */
static int land(struct migration *m, uint64_t *at, uint64_t end)
{
	struct run run;
	int err = 0;

	if (mm_forking() || !moving_begin(m->mm))
		return -EAGAIN;
	while (!err && places_next(m->s, *at, end, m->d, &run)) {
		if (!m->s->reserve)
			m->s->reserve = objpool_get(&m->s->arrays);
		err = m->s->reserve ? land_row(m, &run, at) : -ENOMEM;
	}
	if (!err)
		*at = end;
	moving_end(m->mm);
	return err;
}

static int land_locked(struct migration *m, uint64_t *at, uint64_t end)
{
	uint64_t old;
	int err;

	moving_let_pump(m->mm);
	moving_mask(&old);
	err = deadline_lock(&m->mm->region_lock, m->deadline);
	if (!err) {
		err = land(m, at, end);
		pthread_mutex_unlock(&m->mm->region_lock);
	}
	moving_unmask(&old);
	return err;
}

/* ---- home ------------------------------------------------------------------------------------ */

/* The next row of coherent pages, of one block, and whose it is. False: there is none. */
static bool find(struct hmm_mm *mm, uint64_t start, uint64_t end, const struct hmm_devmem *only,
		 struct run *run, struct hmm_devmem **d)
{
	const struct devmem_space *s = devmem_of(mm);
	uint64_t old;
	bool found;

	moving_mask(&old);
	pthread_mutex_lock(&mm->region_lock);
	turn_take(mm);
	found = coherent_next(s, start, end, only, run);
	if (found)
		*d = place_devmem(s, run->first);
	turn_end(mm);
	pthread_mutex_unlock(&mm->region_lock);
	moving_unmask(&old);
	return found;
}

/* What cannot move any more, as its mapping has changed, is the system's where it is. */
static void let_go(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	uint64_t old;

	moving_mask(&old);
	pthread_mutex_lock(&mm->region_lock);
	turn_take(mm);
	coherent_forget(devmem_of(mm), start, end);
	turn_end(mm);
	pthread_mutex_unlock(&mm->region_lock);
	moving_unmask(&old);
}

/* The caller has d->transit_lock. */
static int send_home(struct hmm_devmem *d, uint64_t start, uint64_t end, uint64_t timeout_ns)
{
	struct migration m = { .d = d->transit,
			       .lifts = true,
			       .mm = d->mm,
			       .s = d->space,
			       .owner = d->options.owner };
	int err = migrate_check(&m, start, end, timeout_ns);

	if (!err)
		err = migrate_range(&m, start, end);
	if (err && err != -EINVAL)
		return err == -EBUSY ? -ETIME : err;
	err = devmem_home(d->mm, start, end, d->transit, timeout_ns);
	if (err)
		return err;
	count(&d->stats.copied_home, m.result.moved * HMM_PAGE_SIZE);
	let_go(d->mm, start, end);
	return 0;
}

int coherent_home(struct hmm_mm *mm, uint64_t start, uint64_t end, struct hmm_devmem *only,
		  uint64_t timeout_ns)
{
	uint64_t at = start;
	struct hmm_devmem *d;
	struct run run;
	int err = 0;

	if (!devmem_of(mm) || !atomic_load(&devmem_of(mm)->coherent_regions))
		return 0;
	for (; !err && find(mm, at, end, only, &run, &d); at = run.end) {
		err = deadline_lock(&d->transit_lock, deadline_after(timeout_ns));
		if (err)
			return err;
		err = send_home(d, run.start, run.end, timeout_ns);
		pthread_mutex_unlock(&d->transit_lock);
	}
	return err;
}

/* ---- to the device -------------------------------------------------------------------------- */

/* Is it full, as it was when no frame was had? */
static bool is_full(struct hmm_devmem *d)
{
	uint64_t old;
	bool full;

	moving_mask(&old);
	pthread_mutex_lock(&d->mm->region_lock);
	full = d->used == d->frames && !d->dying;
	pthread_mutex_unlock(&d->mm->region_lock);
	moving_unmask(&old);
	return full;
}

/*
 * Makes room by bringing home what is not in the way. -ENOSPC: there is nothing; -EAGAIN: the
 * program has unmapped or moved some meanwhile.
 */
static int evict(struct migration *m)
{
	struct hmm_devmem *d = m->into, *same;
	const uint32_t moves = atomic_load(&m->s->moves);
	struct run run;
	int err;

	if (!(d->options.flags & HMM_DEVMEM_EVICT))
		return -ENOSPC;
	if (!find(m->mm, 0, m->start, d, &run, &same) &&
	    !find(m->mm, m->end, UINT64_MAX, d, &run, &same))
		return is_full(d) && atomic_load(&m->s->moves) == moves ? -ENOSPC : -EAGAIN;
	err = send_home(d, run.start, run.end, m->timeout);
	if (!err)
		count(&d->stats.evicted, run.end - run.start);
	return err;
}

/* What went to `transit` becomes the region's. What does not goes home, and *why says why. */
static int land_all(struct migration *m, uint64_t start, uint64_t end, enum hmm_migrate_reason *why)
{
	uint64_t at = start;
	int err = 0;
	int ret;

	for (unsigned int round = 0; at < end; round++) {
		const uint64_t was = at;

		err = land_locked(m, &at, end);
		if (at > was) {
			m->deadline = deadline_after(m->timeout);
			round = 0;
		}
		if (err == -ENOSPC)
			err = evict(m);
		if (err == -ENOSPC)
			*why = HMM_MIGRATE_EXHAUSTED;
		if ((err && err != -EAGAIN) || (err && deadline_passed(m->deadline)))
			break;
		if (err)
			deadline_pause(round);
	}
	ret = devmem_home(m->mm, start, end, m->d, m->timeout);
	if (ret || (err != -ENOMEM && err != -ESRCH && err != -EAGAIN))
		return ret;
	return err == -EAGAIN ? -EBUSY : err;
}

static int take(struct migration *m, uint64_t start, uint64_t end)
{
	const uint64_t before = m->result.moved;
	enum hmm_migrate_reason why = HMM_MIGRATE_BUSY;
	int err = migrate_range(m, start, end);
	const uint64_t out = m->result.moved - before;
	uint64_t landed;
	int ret;

	m->result.moved = before;
	m->result.huge = 0; /* a page of the region is a small one */
	ret = land_all(m, start, end, &why);
	landed = m->result.moved - before;
	if (landed < out)
		migrate_left(m, why, (out - landed) * HMM_PAGE_SIZE);
	return err ? err : ret;
}

int coherent_take(struct migration *m)
{
	int err = deadline_lock(&m->d->transit_lock, m->deadline);

	if (err)
		return err;
	m->into = m->d;
	m->d = m->d->transit;
	for (uint64_t at = m->start, to; !err && at < m->end; at = to) {
		to = min64(m->end, at + STEP);
		err = take(m, at, to);
	}
	m->d = m->into;
	pthread_mutex_unlock(&m->d->transit_lock);
	return err;
}
