// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A row of pages goes home. A page is moved where the kernel does that. If the mapping may not be
 * written, or is locked, the kernel refuses, and the page is copied. Devices have stopped
 * meanwhile, so nobody writes it.
 */
#include "devmem/devmem.h"
#include "devmem/moving.h"
#include "notifier/notifier.h"
#include "space/space.h"
#include "provider/provider.h"
#include "kernel/abi/pagemap.h"
#include "kernel/pagemap.h"
#include "base/log.h"
#include "base/mutation.h"
#include "base/number.h"
#include "base/trace.h"

#include <errno.h>

/* how many pages are copied by one call */
#define COPIED 16

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

uint64_t huge_until(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	struct page_run run;
	uint64_t walked;
	size_t n = 1;

	if (pagemap_runs(mm_pagemap(mm), start, end, &run, &n, &walked) || n != 1 ||
	    run.start > start || !(run.categories & PAGE_IS_HUGE) ||
	    run.categories & PAGE_IS_PFNZERO)
		return start;
	return run.end;
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

/* [start, end), of one block, is at home. */
static void account_block(struct hmm_devmem *d, const struct run *run, uint64_t start, uint64_t end,
			  bool copied)
{
	const uint64_t page = d->space->page;
	const uint32_t first = place_frame(run->first) + (uint32_t)((start - run->start) / page);

	if (places_take(d->space, start, end))
		return; /* it is at home all the same, and the next move finds it there */
	frames_free(d, first, (uint32_t)((end - start) / page), copied || d->alias);
	count(&d->stats.moved_home, end - start);
	if (copied)
		count(&d->stats.copied_home, end - start);
}

static void account(struct hmm_devmem *d, const struct run *run, uint64_t at, uint64_t bytes,
		    bool copied)
{
	const uint64_t end = at + bytes;

	for (uint64_t next; at < end; at = next) {
		next = min64(end, block_above(d->space, at));
		account_block(d, run, at, next, copied);
	}
}

/*
 * A few pages at once, where the kernel does not move them. They must be there, as a copy of what
 * is not would wait for this very thread. 0, or -errno: they go one by one.
 */
static int64_t copy_some(struct hmm_mm *mm, uint64_t to, uint64_t from, uint64_t bytes)
{
	if (pagemap_all_present(mm_pagemap(mm), from, from + bytes) != 1)
		return 0;
	return mm->provider.ops->move->copy(&mm->provider, to, from, bytes);
}

/* The same of a row that is to become other pages, or of its first page. */
static int64_t copy_whole(struct hmm_mm *mm, uint64_t to, uint64_t from, uint64_t bytes)
{
	const int64_t n = copy_some(mm, to, from, bytes);

	return n > 0 ? n : settle(mm, to, from, devmem_of(mm)->page, -EINVAL);
}

static int ended(struct hmm_mm *mm, const struct run *run, uint64_t at, int64_t err, uint64_t *done)
{
	*done = at;
	hmm_trace(home, mm, run->start, at, err,
		  place_devmem(devmem_of(mm), run->first)->options.owner);
	return err == -EBADF || err == -ENOTTY ? -ESRCH : (int)err;
}

static int show_row(struct hmm_mm *mm, const struct run *run, uint64_t *done)
{
	struct hmm_devmem *d = place_devmem(devmem_of(mm), run->first);
	uint64_t at = run->start;
	int64_t n = 0;

	for (; at < run->end; at += (uint64_t)n) {
		n = alias_show(mm, at, run->end - at);
		if (n < 0)
			break;
		account(d, run, at, (uint64_t)n, false);
	}
	return ended(mm, run, at, n < 0 ? n : 0, done);
}

int home_row(struct hmm_mm *mm, const struct run *run, uint64_t from, uint64_t *done)
{
	struct devmem_space *s = devmem_of(mm);
	struct hmm_devmem *d = place_devmem(s, run->first);
	uint64_t end = run->end;
	uint64_t step = end - run->start; /* below a page: they are copied */
	uint64_t at = run->start;

	if (hmm_mutation(HMM_MUTATION_EARLY_TAKE))
		places_take(s, run->start, run->end);
	if (d->alias)
		return show_row(mm, run, done);
	while (at < end) {
		const uint64_t frame = from + (at - run->start);
		bool copied = d->copies || step < s->page;
		int64_t n = 0;

		if (d->copies)
			n = copy_whole(mm, at, frame, end - at);
		else if (copied)
			n = copy_some(mm, at, frame, min64(COPIED * s->page, end - at));
		if (d->copies ? n == -ENOMEM : n <= 0) {
			copied = false;
			n = devmem_move(mm, at, frame, min64(max64(step, s->page), end - at));
		}
		/* It may lie in several mappings by now, or in one that may not be written. */
		if (n < 0 && n != -EAGAIN && step > s->page) {
			step = end > block_above(s, at) ? s->block : s->page;
			end = min64(end, block_above(s, at));
			continue;
		}
		if (n < 0) {
			step = n == -EINVAL ? 0 : step;
			n = settle(mm, at, frame, s->page, (int)n);
			copied = true;
		}
		if (n < 0)
			return ended(mm, run, at, n, done);
		account(d, run, at, (uint64_t)n, copied);
		at += (uint64_t)n;
	}
	return ended(mm, run, at, 0, done);
}

int home_bounced(struct hmm_mm *mm, const struct run *run, uint64_t from, uint64_t *done)
{
	struct devmem_space *s = devmem_of(mm);
	struct hmm_devmem *d = place_devmem(s, run->first);
	uint64_t at = run->start;

	while (at < run->end) {
		const uint64_t page = from + (at - run->start);
		int64_t n = mm->provider.ops->move->copy(&mm->provider, at, page, run->end - at);

		if (n <= 0)
			n = settle(mm, at, page, s->page, (int)n);
		if (n < 0)
			return ended(mm, run, at, n, done);
		account(d, run, at, (uint64_t)n, false);
		at += (uint64_t)n;
	}
	return ended(mm, run, at, 0, done);
}

int home_untold(struct hmm_mm *mm, const struct run *run, uint64_t *done)
{
	struct devmem_space *s = devmem_of(mm);

	revoke_row(place_devmem(s, run->first), run);
	return home_row(mm, run, place_addr(s, run->first), done);
}
