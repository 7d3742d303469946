// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Out: pages of one block move to frames of a region.
 *
 *	takes region_lock, closes the gate, begins to move (devmem/moving.h)
 *	looks the mapping up, traps it, asks the kernel whether it is registered with us
 *	invalidates a block, or several huge pages
 *	for each row: takes frames, notes the places, moves
 *	opens the gate
 *
 * From the question on every change of the mapping raises an event, and while one is unread the
 * kernel moves nothing. So what has moved is what the index says, and a touch of it is a fault.
 *
 * A discard's event comes before the discard. A page that moved out in between would come home with
 * what was to be discarded. So nothing moves while a discard of the range is pending.
 */
#include "migrate/migrate.h"
#include "mm/fork.h"
#include "devmem/copy.h"
#include "watch/discard.h"
#include "watch/region.h"
#include "devmem/moving.h"
#include "notifier/notifier.h"
#include "engine/gate.h"
#include "space/space.h"
#include "provider/provider.h"
#include "kernel/abi/madvise.h"
#include "kernel/abi/pagemap.h"
#include "kernel/pagemap.h"
#include "base/deadline.h"
#include "base/itree.h"
#include "base/mutation.h"
#include "base/number.h"
#include "base/pool.h"
#include "base/trace.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

/* So long the gate stays closed for further blocks: closing it costs more than a huge page. */
#define TURN_NS 50000ULL

uint64_t block_end(const struct migration *m, uint64_t at, uint64_t end)
{
	return min64(end, block_above(m->s, at));
}

void migrate_left(struct migration *m, enum hmm_migrate_reason why, uint64_t bytes)
{
	hmm_trace(stay, m->mm, bytes, why, m->owner);
	m->result.left[why] += bytes / HMM_PAGE_SIZE;
}

/*
 * Is the block one huge page of the program's? What is huge has one entry, so its first page tells.
 * If it is others may follow, of which the kernel tells in one call.
 */
bool migrate_is_huge(struct migration *m, uint64_t start, uint64_t end, uint64_t limit)
{
	if (!m->s->large || start & (m->s->block - 1) || end - start != m->s->block)
		return false;
	if (m->huge_from == start || (m->huge_from < start && end <= m->huge_to))
		return end <= m->huge_to;
	m->huge_from = m->huge_to = start;
	if (huge_until(m->mm, start, start + m->s->page) == start)
		return false;
	limit = min64(limit, start + HUGE_AT_ONCE * m->s->block) & ~(m->s->block - 1);
	m->huge_to = end;
	if (limit > end && mm_pagemap(m->mm)->scan)
		m->huge_to = max64(end, huge_until(m->mm, start, limit));
	return true;
}

/* ---- room in the region -------------------------------------------------------------------- */

/* Brings a block of the region home that is not in the way. False: there is none. */
static int evict(struct migration *m)
{
	struct hmm_devmem *d = m->d;
	struct run run;
	uint64_t done;
	int err;

	for (int i = 0; i < 2; i++, d->evict_at = 0) {
		uint64_t at = d->evict_at;

		while (places_next(m->s, at, UINT64_MAX, d, &run)) {
			at = d->evict_at = run.end;
			if (run.start < m->end && run.end > m->start)
				continue;
			err = home_run(m->mm, &run, &done);
			m->victim = run;
			if (err == -EINPROGRESS && !m->cannot_evict)
				return MIGRATE_EVICT;
			if (err == -EINPROGRESS || err == -EIO)
				continue;
			count(&d->stats.evicted, done - run.start);
			return err == -EINTR ? -EAGAIN : err;
		}
	}
	return -ENOSPC;
}

/* Of pages that are on their way to a coherent region: how many more have room there. */
static uint32_t room_in(const struct hmm_devmem *into, const struct hmm_devmem *transit)
{
	const uint32_t coming = transit->used - transit->dying;

	if (into->options.flags & HMM_DEVMEM_EVICT)
		return UINT32_MAX;
	return into->used + coming < into->frames ? into->frames - into->used - coming : 0;
}

static int take_frames(struct migration *m, uint32_t want, bool huge, uint32_t *first, uint32_t *n)
{
	const uint32_t room = m->into ? room_in(m->into, m->d) : want;
	const uint32_t fits = want < room ? want : room;
	const uint32_t whole = want % BLOCK_PAGES ? 0 : fits - fits % BLOCK_PAGES;
	struct hmm_devmem *d = m->d;
	int err = 0;

	if (!room)
		return m->into->dying ? -EAGAIN : -ENOSPC;
	*n = whole ? frames_take(d, whole, true, huge, first) : 0;
	want = fits < BLOCK_PAGES ? fits : BLOCK_PAGES;
	while (!*n && !err) {
		*n = frames_take(d, want, false, false, first);
		if (*n || d->used < d->frames)
			continue;
		if (d->dying)
			return -EAGAIN; /* the worker makes room */
		err = d->options.flags & HMM_DEVMEM_EVICT ? evict(m) : -ENOSPC;
	}
	return err;
}

/* ---- one row ------------------------------------------------------------------------------- */

static void moved(struct migration *m, uint64_t bytes, bool huge)
{
	count(&m->d->stats.moved_out, bytes);
	m->result.moved += bytes / HMM_PAGE_SIZE;
	m->result.huge += huge ? (bytes & ~(m->s->block - 1)) / HMM_PAGE_SIZE : 0;
	m->deadline = deadline_after(m->timeout);
}

/* The kernel has refused the page at `at`. *at: where to go on. */
static int refused(struct migration *m, uint64_t *at, uint64_t next, int err)
{
	const struct provider_move *ops = m->mm->provider.ops->move;
	int64_t n;

	switch (err) {
	case -ENOENT: /* not touched yet */
		n = ops->zero(&m->mm->provider, *at + m->shift, next - *at);
		return n >= 0 || n == -EEXIST ? MIGRATE_DONE : (int)n;
	case -EFAULT: /* the same with a marker in the page table */
		n = devmem_zero(m->mm, *at + m->shift);
		if (n != -EEXIST)
			return n >= 0 ? MIGRATE_DONE : (int)n;
		migrate_left(m, HMM_MIGRATE_BUSY, m->s->page); /* a page lost to an error */
		break;
	case -EEXIST: /* the frame was in the way, and is no longer used */
		return MIGRATE_DONE;
	case -EBUSY:
		m->want = next;
		if (*at >= m->populated)
			return MIGRATE_POPULATE;
		migrate_left(m, HMM_MIGRATE_BUSY, m->s->page);
		break;
	case -EINVAL:
		migrate_left(m, HMM_MIGRATE_PERMISSION, m->s->page);
		break;
	case -EBADF:
	case -ENOTTY:
		return -ESRCH;
	default:
		return err;
	}
	*at += m->s->page;
	return MIGRATE_DONE;
}

/* Of n frames the first `kept` have got pages; the next one was not free if err says so. */
static void give_back(struct migration *m, uint32_t first, uint32_t n, uint32_t kept, int64_t err)
{
	const bool blocked = err == -EEXIST; /* a device has touched what was not its */

	if (blocked)
		frames_free(m->d, first, 1, true);
	if (n > kept + blocked)
		frames_untake(m->d, first + kept + blocked, n - kept - blocked);
}

/* The pages are now at `place` and behind; 0: at home. */
static int replace(struct migration *m, uint64_t start, uint64_t end, place_t place, bool huge)
{
	const int err = m->shift || !place ? places_take(m->s, start, end) : 0;

	return err || !place ? err : places_put(m->s, start, end, place, huge);
}

int migrate_row(struct migration *m, uint64_t *at, uint64_t next, bool huge)
{
	const uint64_t page = m->s->page;
	const uint64_t from = *at;
	const place_t was = place_at(m->s, from);
	uint32_t first;
	uint32_t n;
	uint64_t to;
	int64_t done;
	int err;

	/* Pages in a row lie in a row in the region, too, in whatever order they move. */
	m->d->next = (uint32_t)(from / page % m->d->frames);
	err = take_frames(m, (uint32_t)((next - from) / page), huge, &first, &n);

	if (err == -ENOSPC) {
		migrate_left(m, HMM_MIGRATE_EXHAUSTED, next - from);
		*at = next;
		return MIGRATE_DONE;
	}
	if (err)
		return err;
	to = from + n * page;
	huge &= !(n % BLOCK_PAGES) && !(first % BLOCK_PAGES) && !frames_split(m->d, first);
	/* The place comes before the move. */
	err = replace(m, from, to, m->d->id << FRAME_BITS | first, huge);
	if (err) {
		frames_untake(m->d, first, n);
		return err;
	}
	done = devmem_move(m->mm, m->d->base + first * page, from + m->shift, n * page);
	*at += done > 0 ? (uint64_t)done : 0;
	if (*at < to) {
		/* does not fail, as there is a reserve */
		replace(m, *at, to, was ? was + (place_t)((*at - from) / page) : 0, false);
		if (huge)
			frames_torn(m->d, first + (uint32_t)((*at - from) / page));
		give_back(m, first, n, (uint32_t)((*at - from) / page), done);
	}
	if (done > 0) {
		coherent_forget(m->s, from, from + (uint64_t)done);
		copy_arrived(m->d, first, (uint32_t)((uint64_t)done / page));
		if (m->arrived)
			m->arrived(m, from, first, (uint32_t)((uint64_t)done / page));
		moved(m, (uint64_t)done, huge);
	}
	/* Several huge pages may lie in several mappings by now. */
	if (done <= 0 && n > BLOCK_PAGES)
		m->huge_to = from + m->s->block;
	else if (done <= 0)
		return refused(m, at, block_end(m, from, next), (int)done);
	return MIGRATE_DONE;
}

/* ---- one block ------------------------------------------------------------------------------ */

int migrate_already(struct migration *m, place_t place)
{
	if (place_devmem(m->s, place)->stage)
		return -EAGAIN;
	if (place_region(place) == (m->into ? m->into : m->d)->id)
		m->result.already += m->s->page / HMM_PAGE_SIZE;
	else
		migrate_left(m, HMM_MIGRATE_ELSEWHERE, m->s->page);
	return 0;
}

int migrate_reserve(struct devmem_space *s)
{
	if (!s->reserve)
		s->reserve = objpool_get(&s->arrays);
	return s->reserve ? 0 : -ENOMEM;
}

/*
 * Where the block ends, or huge pages in a row, or the next page is that is in some region already.
 */
static uint64_t row_end(struct migration *m, uint64_t at, uint64_t end, bool *huge)
{
	const uint64_t block = block_end(m, at, end);
	struct run run;

	*huge = migrate_is_huge(m, at, block, end);
	end = *huge ? min64(end, m->huge_to) : block;
	if (places_next(m->s, at, end, NULL, &run))
		end = min64(block, run.start);
	if (!m->lifts && coherent_next(m->s, at, end, NULL, &run))
		end = min64(block, run.start);
	return end;
}

static int move_all(struct migration *m, uint64_t *at, uint64_t end)
{
	int err = MIGRATE_DONE;
	uint64_t to;
	bool huge;

	while (err == MIGRATE_DONE && *at < end) {
		place_t place = place_at(m->s, *at);

		if (!place && !m->lifts)
			place = coherent_at(m->s, *at);
		if (place) {
			err = migrate_already(m, place);
			*at += err ? 0 : m->s->page;
			continue;
		}
		err = migrate_reserve(m->s);
		if (err)
			return err;
		to = row_end(m, *at, end, &huge);
		err = migrate_row(m, at, to, huge);
	}
	return err;
}

/*
 * What was trapped once is so until an event tells of its end: then the pump forgets regions. The
 * kernel moves nothing while an event is unread.
 */
static bool is_proven(const struct migration *m, uint64_t start, uint64_t end)
{
	const struct devmem_space *s = m->s;

	return s->proven.start <= start && end <= s->proven.end &&
	       s->proven.taken == regions_taken(m->mm);
}

static void prove(struct migration *m, uint64_t start, uint64_t end)
{
	struct devmem_space *s = m->s;
	const uint64_t taken = regions_taken(m->mm);

	if (s->proven.taken == taken && s->proven.start <= start && s->proven.end >= start)
		start = s->proven.start;
	s->proven.start = start;
	s->proven.end = end;
	s->proven.taken = taken;
}

static bool is_same(const struct migration *m, const struct hmm_vma *vma, const struct hmm_vma *now)
{
	if (m->shares)
		return now->shared && now->inode == vma->inode && now->offset == vma->offset &&
		       now->dev_major == vma->dev_major && now->dev_minor == vma->dev_minor;
	return !now->shared && !now->inode && !now->dev_major && !now->dev_minor;
}

/*
 * Asks of the block at `start`, as its rest is next, and of those behind that are to move. *end: up
 * to where all is watched. As is_watched().
 */
static int watched_until(const struct migration *m, uint64_t start, uint64_t limit, uint64_t *end)
{
	const struct provider *p = &m->mm->provider;
	const uint64_t far = m->staged || m->shares ? start : start + HUGE_AT_ONCE * m->s->block;
	int err;

	*end = start;
	do {
		const uint64_t next = block_end(m, *end, limit);

		err = p->ops->is_watched(p, *end, next);
		*end = err == 1 ? next : *end;
	} while (err == 1 && *end < min64(far, min64(limit, m->end)));
	return *end > start ? 1 : err;
}

/*
 * From its success on no page of [start, end) can go or come without an event. -ESTALE: another
 * mapping is there; -EOPNOTSUPP: it cannot be trapped.
 */
static int trap(struct migration *m, const struct hmm_vma *vma, uint64_t start, uint64_t end)
{
	const struct provider *p = &m->mm->provider;
	struct hmm_vma now;
	int err;

	if (is_proven(m, start, end) && !m->staged && !m->shares)
		return 0;
	if (!vma || vma_peek(mm_vmas(m->mm), start, &now) || now.start > start || now.end < end ||
	    now.prot != vma->prot || !is_same(m, vma, &now) || pool_owns(now.start))
		return -ESTALE;
	err = m->shares ? p->ops->move->trap_shared(p, now.start, now.end)
			: p->ops->move->trap(p, now.start, now.end);
	if (err == -EBUSY)
		return -EOPNOTSUPP;
	if (err == -ESRCH || err == -EBADF || err == -ENOTTY)
		return -ESRCH;
	if (err)
		return -ESTALE;
	start = max64(start & ~(m->s->block - 1), now.start);
	err = watched_until(m, start, now.end, &end);
	if (err != 1)
		return err == -EAGAIN || err == -ESRCH ? err : -ESTALE;
	devmem_note_trapped(m->s, now.start, now.end);
	if (m->shares)
		return 0;
	watch_trap_neighbours(m->mm, vma);
	prove(m, start, end);
	return 0;
}

bool migrate_tell(struct migration *m, uint64_t start, uint64_t end)
{
	struct hmm_invalidation inv = {
		.start = start,
		.end = end,
		.event = m->d->exclusive ? HMM_EVENT_EXCLUSIVE : HMM_EVENT_MIGRATE,
		.owner = m->owner,
	};

	moving_pause(m->mm);
	notifiers_invalidate(m->mm, &inv);
	return moving_resume(m->mm);
}

/* Does something keep the pages where they are for now? */
static bool must_wait(const struct migration *m, uint64_t start, uint64_t end)
{
	/* What shared memory has lost is lost where a device works on it, too. */
	return devmem_recent(m->s, start, end) || (!m->shares && discard_known(m->mm, start, end) &&
						   !hmm_mutation(HMM_MUTATION_MIGRATE_DISCARD));
}

/* How far one step goes: a block, or several huge pages. */
static uint64_t step_end(struct migration *m, uint64_t at, uint64_t end)
{
	const uint64_t to = block_end(m, at, end);

	if (!migrate_is_huge(m, at, to, end))
		return to;
	end = min64(end, m->huge_to);
	return is_proven(m, to, end) && !must_wait(m, to, end) ? end : to;
}

int migrate_blocks(struct migration *m, uint64_t *at, uint64_t end)
{
	uint64_t to = block_end(m, *at, end);
	const uint64_t until = to < end ? clock_ns() + TURN_NS : 0;
	int err;

	m->huge_from = m->huge_to = 0;
	do {
		to = step_end(m, *at, end);
		err = migrate_tell(m, *at, to) ? move_all(m, at, to) : -EAGAIN;
		to = block_end(m, *at, end);
	} while (!err && *at < end && clock_ns() < until && is_proven(m, *at, to) &&
		 !must_wait(m, *at, to) && !copy_may_come(m->d));
	return err;
}

int moving_ready(struct migration *m, const struct hmm_vma *vma, uint64_t start, uint64_t end)
{
	int err;

	if (m->s->closed)
		return -ESRCH;
	if (mm_forking() || must_wait(m, start, end))
		return -EAGAIN;
	err = gate_close(m->mm, m->deadline);
	if (err)
		return err;
	err = -EAGAIN;
	if (moving_begin(m->mm)) {
		err = copy_may_come(m->d);
		if (!err)
			err = trap(m, vma, start, end);
		if (!err)
			return 0;
		moving_end(m->mm);
	}
	gate_open(m->mm);
	return err;
}

/* R is held. */
static int attempt(struct migration *m, const struct hmm_vma *vma, uint64_t *at, uint64_t end)
{
	int err = moving_ready(m, vma, *at, block_end(m, *at, end));

	if (err)
		return err;
	err = migrate_blocks(m, at, end);
	moving_end(m->mm);
	gate_open(m->mm);
	return err;
}

int migrate_attempt(struct migration *m, const struct hmm_vma *vma, uint64_t *at, uint64_t end)
{
	uint64_t old;
	int err;

	moving_let_pump(m->mm);
	moving_mask(&old);
	err = deadline_lock(&m->mm->region_lock, m->deadline);
	if (!err) {
		err = attempt(m, vma, at, end);
		pthread_mutex_unlock(&m->mm->region_lock);
	}
	moving_unmask(&old);
	return err;
}

void migrate_populate(struct migration *m, uint64_t at)
{
	m->populated = m->want;
	if (!madvise((void *)(uintptr_t)at, m->want - at, MADV_POPULATE_WRITE))
		return;
	m->populated = at + m->s->page;
	madvise((void *)(uintptr_t)at, m->s->page, MADV_POPULATE_WRITE);
}

void migrate_evict(struct migration *m)
{
	const uint64_t bytes = m->victim.end - m->victim.start;

	if (devmem_home(m->mm, m->victim.start, m->victim.end, m->d, m->timeout))
		m->cannot_evict = true;
	else
		count(&m->d->stats.evicted, bytes);
}
