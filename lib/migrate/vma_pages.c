// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The second step and the third: pages go from where they wait to the frames that the driver
 * chose, or home. What moves does so as in one call: under region_lock, with the gate closed.
 */
#include "migrate/migrate.h"
#include "devmem/copy.h"
#include "devmem/moving.h"
#include "space/space.h"
#include "space/turn.h"
#include "provider/provider.h"
#include "kernel/pagemap.h"
#include "base/deadline.h"
#include "base/number.h"

#include <errno.h>

#define FLAGS (HMM_PAGE_SIZE - 1)
/* how long a page that is busy is tried again */
#define BUSY_NS 10000000ULL

/* ---- what dst says --------------------------------------------------------------------------- */

/* A huge page for which there is no huge frame becomes an entry for each of its pages. */
static void split(struct migrate_state *st, uint32_t i)
{
	const uint64_t src = st->page[i].src & ~HMM_MIGRATE_PFN_COMPOUND;

	for (uint32_t k = 0; k < BLOCK_PAGES; k++)
		st->page[i + k].src = src + k * st->s->page;
}

/* The entry stands for pages that follow each other. */
static void spread(struct migrate_state *st, uint32_t i, uint64_t dst)
{
	const uint64_t step = dst & HMM_MIGRATE_PFN_VALID ? st->s->page : 0;
	const bool fits = state_is_whole(st, i);

	for (uint32_t k = 0; k < BLOCK_PAGES && i + k < st->n; k++) {
		st->page[i + k].dst = dst + k * step;
		if (!fits)
			st->page[i + k].src &= ~HMM_MIGRATE_PFN_MIGRATE;
	}
}

/* Reads what the driver wants, once. No lock is held. */
static void hear(struct migrate_state *st, const uint64_t *dst)
{
	for (uint32_t i = 0, n; i < st->n && !st->told; i += n) {
		const bool whole = dst[i] & HMM_MIGRATE_PFN_COMPOUND;

		n = whole ? BLOCK_PAGES : 1;
		if (state_is_whole(st, i) && !whole)
			split(st, i);
		if (whole)
			spread(st, i, dst[i]);
		else
			st->page[i].dst = dst[i];
	}
	st->told = true;
}

static bool is_for_frame(uint64_t dst)
{
	return dst & HMM_MIGRATE_PFN_VALID && !(dst & HMM_MIGRATE_PFN_SYSTEM);
}

/* The entries from i on that say the same of pages in a row: how many; of one block, or any. */
static uint32_t row_from(const struct migrate_state *st, uint32_t i, bool any)
{
	const struct migrate_page *p = &st->page[i];
	const uint64_t step = is_for_frame(p->dst) ? st->s->page : 0;
	uint32_t n = 1;

	if (state_is_whole(st, i))
		return BLOCK_PAGES;
	while (i + n < st->n && st->page[i + n].src & HMM_MIGRATE_PFN_MIGRATE &&
	       !state_is_whole(st, i + n) && p[n].dst == p->dst + n * step &&
	       p[n].place == p->place + n && (any || state_addr(st, i + n) & (st->s->block - 1)))
		n++;
	return n;
}

/* ---- to a frame: R is held, the gate is closed ----------------------------------------------- */

/* A row on its way. */
struct row {
	struct run run;          /* where it waits */
	struct hmm_devmem *from; /* whose frames these are */
	struct hmm_devmem *to;
	uint32_t frame; /* the first */
	bool copied;    /* the frames are the pages */
};

static uint64_t frame_addr(const struct row *r)
{
	return r->to->base + r->frame * r->to->space->page;
}

static int rekey(struct devmem_space *s, uint64_t start, uint64_t end, place_t place, bool huge)
{
	const int err = places_take(s, start, end);

	return err ? err : places_put(s, start, end, place, huge);
}

/* The bytes that are there now, or -errno: nothing has changed. */
static int64_t move_row(struct migration *m, const struct row *r)
{
	const uint64_t page = m->s->page;
	const uint64_t bytes = r->run.end - r->run.start;
	const bool huge =
		r->run.huge && !(r->frame % BLOCK_PAGES) && !frames_split(r->to, r->frame);
	int64_t done =
		rekey(m->s, r->run.start, r->run.end, r->to->id << FRAME_BITS | r->frame, huge);

	if (done)
		return done;
	done = devmem_move(m->mm, frame_addr(r), place_addr(m->s, r->run.first), bytes);
	if (done < (int64_t)bytes) {
		const uint64_t n = done > 0 ? (uint64_t)done / page : 0;

		if (huge)
			frames_torn(r->to, r->frame);
		/* does not fail, as there is a reserve */
		rekey(m->s, r->run.start + n * page, r->run.end, r->run.first + (place_t)n, false);
	}
	return done;
}

/* The driver has written the frames itself. */
static int64_t take_copied(struct migration *m, const struct row *r)
{
	const uint64_t bytes = r->run.end - r->run.start;
	const uint64_t at = frame_addr(r);
	int err;

	if (!r->to->copier && pagemap_all_present(mm_pagemap(m->mm), at, at + bytes) != 1)
		return -ENOENT;
	err = rekey(m->s, r->run.start, r->run.end, r->to->id << FRAME_BITS | r->frame, false);
	return err ? err : (int64_t)bytes;
}

/* A page of a coherent region comes to the program's address. */
static int64_t land_row(struct migration *m, const struct row *r)
{
	const struct provider_move *ops = m->mm->provider.ops->move;
	const uint64_t at = frame_addr(r);
	int64_t n = (int64_t)(r->run.end - r->run.start);

	if (!r->copied)
		n = ops->copy(&m->mm->provider, at, place_addr(m->s, r->run.first), (uint64_t)n);
	else if (pagemap_all_present(mm_pagemap(m->mm), at, at + (uint64_t)n) != 1)
		return -ENOENT;
	if (n > 0)
		n = devmem_move(m->mm, r->run.start, at, (uint64_t)n);
	if (n <= 0)
		return n;
	places_take(m->s, r->run.start, r->run.start + (uint64_t)n); /* there is a reserve */
	if (coherent_put(m->s, r->run.start, r->run.start + (uint64_t)n,
			 r->to->id << FRAME_BITS | r->frame)) {
		frames_free(r->to, r->frame, (uint32_t)((uint64_t)n / m->s->page), false);
		count(&r->to->stats.moved_home, (uint64_t)n);
	}
	return n;
}

static int64_t carry(struct migration *m, const struct row *r)
{
	if (r->to->transit)
		return land_row(m, r);
	return r->copied ? take_copied(m, r) : move_row(m, r);
}

/* So many pages of the row from i on are in their frames. */
static void arrived(struct migration *m, uint32_t i, const struct row *r, uint32_t n)
{
	struct migrate_state *st = m->state;
	const bool stays = r->copied || r->to->transit; /* in the old frame: nobody needs it */

	for (uint32_t k = 0; k < n; k++) {
		st->page[i + k].place = r->to->id << FRAME_BITS | (r->frame + k);
		st->page[i + k].used = st->page[i + k].gone = true;
	}
	frames_use(r->to, r->frame, n, r->run.huge && !stays && n == BLOCK_PAGES);
	frames_free(r->from, place_frame(r->run.first), n, stays);
	count(&r->from->stats.moved_home, r->from->isolates ? 0 : n * m->s->page);
	count(&r->to->stats.moved_out, n * m->s->page);
	if (!r->copied)
		copy_arrived(r->to, r->frame, n);
	else if (r->to->copier)
		copy_set(r->to->copier, r->frame, n, COPY_DEVICE);
	m->deadline = deadline_after(m->timeout);
}

/* Makes *r of the n entries from i on. False: they make no sense, or have changed. */
static bool find_row(const struct migration *m, uint32_t i, uint32_t n, struct row *r)
{
	const struct migrate_state *st = m->state;
	const struct migrate_page *p = &st->page[i];
	struct hmm_devmem *to = lend_find(m->s, p->dst & ~FLAGS, n, &r->frame);
	struct run run;

	for (uint32_t k = 0; k < n; k++) {
		if (!state_has(st, i + k))
			return false;
	}
	r->to = to;
	r->copied = p->dst & HMM_MIGRATE_PFN_COPIED;
	r->from = place_devmem(m->s, p->place);
	r->run = (struct run){ .start = state_addr(st, i),
			       .end = state_addr(st, i + n),
			       .first = p->place };
	if (!to || !frames_are_lent(to, r->frame, n) || r->from->copier || r->from->transit)
		return false;
	r->run.huge = n == BLOCK_PAGES && places_next(m->s, r->run.start, r->run.end, NULL, &run) &&
		      run.huge;
	return true;
}

/* The kernel itself may hold a page for a moment, as when it splits a huge one. */
static bool is_busy(struct migration *m, uint64_t at)
{
	if (m->want != at) {
		m->want = at;
		m->patience = clock_ns() + BUSY_NS;
	}
	return clock_ns() < m->patience && !deadline_passed(m->deadline);
}

/* One row, or its beginning; a page that does not go is passed over. */
static int send_row(struct migration *m, uint64_t *at, uint64_t end)
{
	const uint32_t i = (uint32_t)((*at - m->state->start) / m->s->page);
	uint32_t n = (uint32_t)((end - *at) / m->s->page);
	struct row r;
	int64_t done;
	int err;

	while (n > 1 && !find_row(m, i, n, &r))
		n /= 2;
	if (!find_row(m, i, n, &r)) {
		*at += m->s->page;
		return 0;
	}
	err = copy_may_come(r.to);
	if (!err)
		err = migrate_reserve(m->s);
	m->d = r.from;
	if (!err && !r.from->isolates && !migrate_tell(m, r.run.start, r.run.end))
		err = -EAGAIN;
	if (err == -EIO)
		*at = end;
	if (err)
		return err == -EIO ? 0 : err;
	done = carry(m, &r);
	if (home_ends(done))
		return done == -EBADF || done == -ENOTTY ? -ESRCH : (int)done;
	if (done == -EBUSY && is_busy(m, *at))
		return -EAGAIN;
	if (done > 0)
		arrived(m, i, &r, (uint32_t)((uint64_t)done / m->s->page));
	*at += done > 0 ? (uint64_t)done : m->s->page;
	return 0;
}

static int send_to_frames(struct migration *m, uint64_t start, uint64_t end)
{
	uint64_t at = start;
	uint64_t old;
	int err = 0;

	for (unsigned int round = 0; at < end; round++) {
		const uint64_t was = at;

		moving_mask(&old);
		err = migrate_turn(m, send_row, &at, end);
		moving_unmask(&old);
		if (err && err != -EAGAIN)
			break;
		if (at > was)
			round = 0;
		else if (deadline_passed(m->deadline))
			return -EBUSY;
		if (err)
			deadline_pause(round);
	}
	return err;
}

/* ---- home ------------------------------------------------------------------------------------ */

/* How many pages of the row are where they were found, from the first on, and whose? */
static uint32_t still_there(struct migrate_state *st, uint32_t i, uint32_t n, struct hmm_devmem **d)
{
	uint32_t k = 0;

	pthread_mutex_lock(&st->mm->region_lock);
	turn_take(st->mm);
	while (k < n && state_has(st, i + k))
		k++;
	*d = k ? place_devmem(st->s, st->page[i].place) : NULL;
	turn_end(st->mm);
	pthread_mutex_unlock(&st->mm->region_lock);
	return k;
}

/* *n: of how many pages; less if one of them is not where it was found. */
static int send_home(struct migration *m, uint32_t i, uint32_t *n)
{
	struct migrate_state *st = m->state;
	struct hmm_devmem *d;
	const uint32_t were = still_there(st, i, *n, &d);
	int err;

	*n = were ? were : 1;
	/* What waits in the isolation goes home in the end. */
	if (!were || d == st->isolation)
		return 0;
	err = migrate_home(m->mm, state_addr(st, i), state_addr(st, i + were), d, m->timeout);
	pthread_mutex_lock(&st->mm->region_lock);
	turn_take(st->mm);
	for (uint32_t k = i; k < i + were; k++)
		st->page[k].gone = !state_has(st, k);
	turn_end(st->mm);
	pthread_mutex_unlock(&st->mm->region_lock);
	return err;
}

/* The n pages from i on say the same. Returns as send_home(), of the first error. */
static int send_all_home(struct migration *m, uint32_t i, uint32_t n)
{
	int err = 0;
	int ret;

	for (uint32_t end = i + n; i < end && err != -ESRCH; i += n) {
		n = end - i;
		ret = send_home(m, i, &n);
		err = err && ret != -ESRCH ? err : ret;
	}
	return err;
}

/* ---- all ------------------------------------------------------------------------------------- */

/* Waits for the devices that copy; what one of them could not copy has gone home. */
static int wait_copied(struct migration *m)
{
	struct migrate_state *st = m->state;
	bool used[REGIONS_MAX + 1] = { false };
	int err = 0;

	m->start = st->start;
	m->end = st->end;
	for (uint32_t i = 0; i < st->n; i++)
		used[place_region(st->page[i].place)] |= st->page[i].used;
	for (uint32_t id = 1; !err && id <= REGIONS_MAX; id++) {
		m->d = used[id] ? st->s->region[id] : NULL;
		if (!m->d || !m->d->copier)
			continue;
		err = migrate_copied(m);
		pthread_mutex_lock(&st->mm->region_lock);
		turn_take(st->mm);
		for (uint32_t i = 0; i < st->n; i++) {
			if (place_region(st->page[i].place) == id && st->page[i].used)
				st->page[i].gone = state_has(st, i);
		}
		turn_end(st->mm);
		pthread_mutex_unlock(&st->mm->region_lock);
	}
	return err;
}

/* Of a huge page some pages may have gone. */
static void settle_whole(struct migrate_state *st, uint32_t i)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < BLOCK_PAGES; k++)
		n += st->page[i + k].gone;
	if (!n)
		st->page[i].src &= ~HMM_MIGRATE_PFN_MIGRATE;
	else if (n < BLOCK_PAGES)
		split(st, i);
}

static void settle(struct migrate_state *st)
{
	for (uint32_t i = 0; i < st->n; i++) {
		if (state_is_whole(st, i)) {
			settle_whole(st, i);
			i += state_is_whole(st, i) ? BLOCK_PAGES - 1 : 0;
		}
		if (!state_is_whole(st, i) && !st->page[i].gone)
			st->page[i].src &= ~HMM_MIGRATE_PFN_MIGRATE;
	}
}

int state_send(struct migrate_state *st, const uint64_t *dst, uint64_t timeout_ns)
{
	struct migration m = {
		.state = st, .arrived = state_note, .mm = st->mm, .s = st->s, .owner = st->owner
	};
	int err = 0;
	int ret;

	m.timeout = timeout_ns;
	m.deadline = deadline_after(timeout_ns);
	hear(st, dst);
	for (uint32_t i = 0, n; i < st->n && err != -ESRCH; i += n) {
		const struct migrate_page *p = &st->page[i];
		const bool home = p->dst & HMM_MIGRATE_PFN_SYSTEM;

		n = 1;
		if (!(p->src & HMM_MIGRATE_PFN_MIGRATE) || !(home || is_for_frame(p->dst)))
			continue;
		n = row_from(st, i, home);
		ret = home ? send_all_home(&m, i, n)
			   : send_to_frames(&m, state_addr(st, i), state_addr(st, i + n));
		err = err && ret != -ESRCH ? err : ret;
	}
	ret = err == -ESRCH ? 0 : wait_copied(&m);
	settle(st);
	return mm_lost_by(st->mm, err ? err : ret);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Of the entries from i on: how many have frames in a row that no page uses; at most a block. */
static uint32_t unused_from(const struct migrate_state *st, uint32_t i)
{
	const struct migrate_page *p = &st->page[i];
	uint32_t n = 0;

	while (p->dst & HMM_MIGRATE_PFN_COMPOUND && i + n < st->n && n < BLOCK_PAGES &&
	       !p[n].used && p[n].dst == p->dst + n * st->s->page)
		n++;
	/* One that has no room in the range is given back as a whole, too. */
	if (n && i + n == st->n)
		n = BLOCK_PAGES - (uint32_t)(p->dst / st->s->page % BLOCK_PAGES);
	return n ? n : is_for_frame(p->dst) && !p->used;
}

static void free_unused(struct migrate_state *st)
{
	pthread_mutex_lock(&st->mm->region_lock);
	turn_take(st->mm);
	for (uint32_t i = 0, n; i < st->n; i += n) {
		struct hmm_devmem *d;
		uint32_t first;

		n = unused_from(st, i);
		d = n ? lend_find(st->s, st->page[i].dst & ~FLAGS, n, &first) : NULL;
		if (!d || !frames_are_lent(d, first, n))
			n = 1;
		if (d && frames_are_lent(d, first, n))
			frames_unlend(d, first, n);
	}
	turn_end(st->mm);
	pthread_mutex_unlock(&st->mm->region_lock);
}

static bool waits(const struct migrate_state *st, uint32_t i)
{
	return st->page[i].place && st->isolation &&
	       place_region(st->page[i].place) == st->isolation->id;
}

void state_end(struct migrate_state *st, const uint64_t *dst)
{
	hear(st, dst);
	for (uint32_t i = 0, n; i < st->n; i += n + 1) {
		for (n = 0; i + n < st->n && waits(st, i + n); n++)
			;
		if (n)
			devmem_home(st->mm, state_addr(st, i), state_addr(st, i + n), st->isolation,
				    0);
	}
	free_unused(st);
}
