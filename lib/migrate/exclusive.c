// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Exclusive access. The pages move to a region that only devices with exclusive access know, so the
 * CPU cannot reach them; its touch closes the gate, and the page comes home. A frame counts how
 * often it was freed: a device still has what it took if that number is the same. It changes only
 * while the gate is closed, so inside a section the answer holds.
 */
#include "migrate/migrate.h"
#include "space/debug.h"
#include "space/space.h"
#include "space/turn.h"
#include "base/nocancel.h"
#include "base/number.h"
#include "base/pool.h"
#include "base/trace.h"

#include <errno.h>

#define RANGE_MAX (64ULL << 20)

struct taken {
	uint32_t frame;
	uint32_t freed;
	bool had;
};

struct hmm_exclusive {
	struct hmm_devmem *d;
	uint64_t start;
	uint64_t end;
	uint32_t pages;
	struct taken *page;
	struct taken one; /* `page` of a single page */
};

_Static_assert(sizeof(struct hmm_exclusive) <= HANDLE_BYTES, "it comes from the space's pool");

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
	ex->page = pages == 1 ? &ex->one : pool_map(pages * sizeof(*ex->page));
	if (ex->page)
		return ex;
	objpool_put(&d->space->handles, ex);
	return NULL;
}

static void unmake(struct hmm_exclusive *ex)
{
	if (ex->page != &ex->one)
		pool_unmap(ex->page, ex->pages * sizeof(*ex->page));
	objpool_put(&ex->d->space->handles, ex);
}

/* Notes which pages were had. False: none. */
static bool note(struct hmm_exclusive *ex)
{
	struct devmem_space *s = ex->d->space;
	bool any = false;

	pthread_mutex_lock(&ex->d->mm->region_lock);
	turn_take(ex->d->mm);
	for (uint32_t i = 0; i < ex->pages; i++) {
		const place_t place = place_at(s, ex->start + i * s->page);
		struct taken *t = &ex->page[i];

		t->had = place_region(place) == ex->d->id;
		t->frame = place_frame(place);
		t->freed = t->had ? atomic_load(&ex->d->freed[t->frame]) : 0;
		any |= t->had;
	}
	turn_end(ex->d->mm);
	pthread_mutex_unlock(&ex->d->mm->region_lock);
	return any;
}

static int take(struct migration *m, uint64_t start, uint64_t end, uint64_t timeout_ns,
		struct hmm_exclusive **out)
{
	struct hmm_exclusive *ex;
	int err = migrate_check(m, start, end, timeout_ns);

	if (!err && end - start > RANGE_MAX)
		err = -EINVAL;
	/* Another device loses what it has there. */
	if (!err && atomic_load(&m->d->used))
		err = devmem_home(m->mm, start, end, m->d, timeout_ns);
	if (!err)
		err = migrate_range(m, start, end);
	if (err)
		return err;
	ex = make(m->d, start, end);
	if (!ex)
		return -ENOMEM;
	if (!note(ex)) {
		unmake(ex);
		return -EBUSY;
	}
	*out = ex;
	return 0;
}

int hmm_exclusive_begin(struct hmm_mm *mm, uint64_t start, uint64_t end, void *owner,
			uint64_t timeout_ns, struct hmm_exclusive **exclusive)
{
	DEBUG_CALL(mm, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;
	struct migration m = { .mm = mm, .owner = owner, .lifts = true };
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

static bool still_has(const struct hmm_exclusive *ex, const struct taken *t)
{
	return t->had && atomic_load(&ex->d->freed[t->frame]) == t->freed;
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
	if (!t->had)
		return -EBUSY;
	if (!still_has(ex, t))
		return -ESTALE;
	if (at)
		*at = ex->d->base + t->frame * page + (addr & (page - 1));
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
	for (uint32_t i = 0, n; i < ex->pages; i += n + 1) {
		for (n = 0; i + n < ex->pages && still_has(ex, &ex->page[i + n]); n++)
			;
		/* What cannot come home now comes home when it is touched. */
		if (n)
			devmem_home(ex->d->mm, ex->start + i * page, ex->start + (i + n) * page,
				    ex->d, 0);
	}
	unmake(ex);
}
