// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Exclusive access. The pages move to a region that only devices with exclusive access know, so the
 * CPU cannot reach them; its touch closes the gate, and the page comes home. A frame counts how
 * often it was freed: a device still has what it took if that number is the same. It changes only
 * while the gate is closed, so inside a section the answer holds.
 */
#include "migrate/migrate.h"
#include "devmem/moving.h"
#include "engine/gate.h"
#include "space/debug.h"
#include "space/space.h"
#include "space/turn.h"
#include "base/deadline.h"
#include "base/nocancel.h"
#include "base/number.h"
#include "base/pool.h"
#include "base/trace.h"

#include <errno.h>
#include <string.h>

#define RANGE_MAX (64ULL << 20)

struct taken {
	place_t place; /* 0: it was not had */
	uint32_t freed;
};

struct hmm_exclusive {
	struct hmm_devmem *d;
	uint64_t start;
	uint64_t end;
	uint32_t pages;
	struct taken *page; /* &one, of the space's pool of arrays, or a mapping, see list_new() */
	struct taken one;
};

_Static_assert(sizeof(struct hmm_exclusive) <= HANDLE_BYTES, "it comes from the space's pool");

static int need_alias(struct hmm_mm *mm)
{
	struct hmm_devmem *alias;

	return devmem_need_one(mm, DEVMEM_ALIAS, &alias);
}

/* No system call for pages that fit into an array of the space's pool. */
#define FEW ((uint32_t)(BLOCK_PAGES * sizeof(place_t) / sizeof(struct taken)))

static struct taken *list_new(struct hmm_exclusive *ex)
{
	if (ex->pages == 1)
		return &ex->one;
	return ex->pages <= FEW ? objpool_get(&ex->d->space->arrays)
				: pool_map(ex->pages * sizeof(*ex->page));
}

static void list_free(struct hmm_exclusive *ex)
{
	if (ex->pages > FEW)
		pool_unmap(ex->page, ex->pages * sizeof(*ex->page));
	else if (ex->page != &ex->one)
		objpool_put(&ex->d->space->arrays, ex->page);
}

static struct hmm_exclusive *make(struct hmm_devmem *d, uint64_t start, uint64_t end)
{
	const uint32_t pages = (uint32_t)((end - start) / d->space->page);
	struct hmm_exclusive *ex = objpool_get(&d->space->handles);

	if (!ex)
		return NULL;
	ex->d = d;
	ex->start = start;
	ex->end = end;
	ex->pages = pages;
	ex->page = list_new(ex);
	if (!ex->page) {
		objpool_put(&d->space->handles, ex);
		return NULL;
	}
	memset(ex->page, 0, pages * sizeof(*ex->page));
	return ex;
}

static void unmake(struct hmm_exclusive *ex)
{
	list_free(ex);
	objpool_put(&ex->d->space->handles, ex);
}

/* In which region the page is: of shared memory, or any other. NULL: it was not had. */
static struct hmm_devmem *region_of(const struct hmm_exclusive *ex, place_t place)
{
	struct hmm_devmem *alias = atomic_load(&ex->d->space->alias);

	if (place_region(place) == ex->d->id)
		return ex->d;
	return place && alias && place_region(place) == alias->id ? alias : NULL;
}

static void note(struct migration *m, uint64_t at, uint32_t first, uint32_t n)
{
	struct hmm_exclusive *ex = m->taking;

	for (uint32_t i = 0; i < n; i++) {
		struct taken *t = &ex->page[(at - ex->start) / m->s->page + i];

		t->place = m->d->id << FRAME_BITS | (first + i);
		t->freed = atomic_load(&m->d->freed[first + i]);
	}
}

static bool still_has(const struct hmm_exclusive *ex, const struct taken *t)
{
	return t->place &&
	       atomic_load(&region_of(ex, t->place)->freed[place_frame(t->place)]) == t->freed;
}

/* How many pages were had, and still are. */
static uint32_t had(const struct hmm_exclusive *ex)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < ex->pages; i++)
		n += still_has(ex, &ex->page[i]);
	return n;
}

/* R is held, and it moves. True: all pages have moved. */
static bool take_all(struct migration *m, struct hmm_exclusive *ex)
{
	uint64_t at = ex->start;
	struct run run;

	if (places_next(m->s, at, ex->end, NULL, &run) || migrate_blocks(m, &at, ex->end))
		return false;
	return had(ex) == ex->pages;
}

/*
 * The usual case: nobody has a page of it, and its mapping was trapped before. So an event would
 * tell of its end, and of pages that may no longer be read or written the kernel moves none. False:
 * take_slowly() says why.
 */
static bool take_quickly(struct migration *m, struct hmm_exclusive *ex)
{
	struct hmm_mm *mm = m->mm;
	bool all = false;
	uint64_t old;

	if (block_end(m, ex->start, ex->end) < ex->end)
		return false;
	moving_let_pump(mm);
	moving_mask(&old);
	if (!deadline_lock(&mm->region_lock, m->deadline)) {
		if (!moving_ready(m, NULL, ex->start, ex->end)) {
			all = take_all(m, ex);
			moving_end(mm);
			gate_open(mm);
		}
		pthread_mutex_unlock(&mm->region_lock);
	}
	moving_unmask(&old);
	return all;
}

/*
 * What another device takes meanwhile, after its pages went home, stays that one's: this call has
 * what it has moved itself.
 */
static int take_slowly(struct migration *m, struct hmm_exclusive *ex)
{
	struct hmm_devmem *alias = atomic_load(&m->s->alias);
	int err = migrate_check_mapped(m);

	memset(ex->page, 0, ex->pages * sizeof(*ex->page));
	/* Another device loses what it has there. */
	if (!err && atomic_load(&m->d->used))
		err = devmem_home(m->mm, m->start, m->end, m->d, m->timeout);
	if (!err && alias && atomic_load(&alias->used))
		err = devmem_home(m->mm, m->start, m->end, alias, m->timeout);
	if (!err)
		err = migrate_range(m, m->start, m->end);
	if (err)
		return err;
	return had(ex) ? 0 : -EBUSY;
}

static int take(struct migration *m, uint64_t start, uint64_t end, uint64_t timeout_ns,
		struct hmm_exclusive **out)
{
	struct hmm_exclusive *ex;
	int err = migrate_begin(m, start, end, timeout_ns);

	if (!err && end - start > RANGE_MAX)
		err = -EINVAL;
	if (err)
		return err;
	ex = make(m->d, start, end);
	if (!ex)
		return -ENOMEM;
	m->taking = ex;
	m->arrived = note;
	if (!take_quickly(m, ex))
		err = take_slowly(m, ex);
	if (err)
		unmake(ex);
	else
		*out = ex;
	return err;
}

int hmm_exclusive_begin(struct hmm_mm *mm, uint64_t start, uint64_t end, void *owner,
			uint64_t timeout_ns, struct hmm_exclusive **exclusive)
{
	DEBUG_CALL(mm, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;
	struct migration m = { .mm = mm, .owner = owner, .lifts = true, .need_alias = need_alias };
	int err = mm_alive(mm);

	if (!err && !owner)
		err = -EINVAL;
	if (!err)
		err = devmem_need_one(mm, DEVMEM_EXCLUSIVE, &m.d);
	if (err)
		return err;
	m.s = m.d->space;
	err = take(&m, start, end, timeout_ns, exclusive);
	hmm_trace(exclusive, mm, start, end, err, owner);
	return mm_lost_by(mm, err);
}

int hmm_exclusive_check(const struct hmm_exclusive *ex, uint64_t addr, uint64_t *at)
{
	DEBUG_CALL(NULL, DEBUG_QUICK);
	const struct taken *t;
	uint64_t page;

	if (!ex)
		return -EINVAL;
	if (mm_inherited(ex->d->mm))
		return -ESRCH;
	if (addr < ex->start || addr >= ex->end)
		return -EINVAL;
	page = ex->d->space->page;
	t = &ex->page[(addr - ex->start) / page];
	if (!t->place)
		return -EBUSY;
	if (!still_has(ex, t))
		return -ESTALE;
	if (at)
		*at = region_of(ex, t->place)->base + place_frame(t->place) * page +
		      (addr & (page - 1));
	return 0;
}

void hmm_exclusive_end(struct hmm_exclusive *ex)
{
	DEBUG_CALL(ex ? ex->d->mm : NULL, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	uint64_t page;

	if (!ex || mm_inherited(ex->d->mm))
		return;
	page = ex->d->space->page;
	for (uint32_t i = 0, n; i < ex->pages; i += n) {
		struct hmm_devmem *d = region_of(ex, ex->page[i].place);

		for (n = 0; i + n < ex->pages && still_has(ex, &ex->page[i + n]) &&
			    region_of(ex, ex->page[i + n].place) == d;
		     n++)
			;
		/* What cannot come home now comes home when it is touched. */
		if (n)
			devmem_home(ex->d->mm, ex->start + i * page, ex->start + (i + n) * page, d,
				    0);
		n = n ? n : 1;
	}
	unmake(ex);
}
