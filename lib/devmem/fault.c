// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Touches of pages that are not there. The pump answers them at the end of a cycle: it holds
 * region_lock, has closed the gate, and has handled all events that were read. So a page without a
 * place was never there. Faults may be read before older events: what has not been read makes the
 * kernel refuse, and the answer waits for the next cycle.
 */
#include "devmem/copy.h"
#include "devmem/devmem.h"
#include "devmem/moving.h"
#include "space/space.h"
#include "space/turn.h"
#include "provider/provider.h"
#include "kernel/abi/pagemap.h"
#include "kernel/pagemap.h"
#include "base/deadline.h"
#include "base/itree.h"
#include "base/mutation.h"
#include "base/number.h"
#include "base/trace.h"

#include <errno.h>

/* After a touch the CPU keeps the page for so long, whatever a device wants. */
#define KEEP_NS 100000ULL
#define LOWEST 65536ULL
#define HIGHEST (1ULL << 56)

static void note(struct devmem_space *s, uint64_t start, uint64_t end)
{
	const uint32_t i = s->recents++ % RECENT_HOME;

	s->recent[i].start = start;
	s->recent[i].end = end;
	s->recent[i].ns = clock_ns();
}

uint64_t devmem_recent(const struct devmem_space *s, uint64_t start, uint64_t end)
{
	uint64_t until = 0;
	uint64_t now;

	for (uint32_t i = 0; i < RECENT_HOME && i < s->recents; i++) {
		if (s->recent[i].start < end && s->recent[i].end > start)
			until = max64(until, s->recent[i].ns + KEEP_NS);
	}
	now = until ? clock_ns() : 0;
	return until > now ? until - now : 0;
}

/*
 * A copy would replace the marker of a page that a device has lost. The word of such a page is that
 * of one in swap.
 */
static bool may_be_lost(struct hmm_mm *mm, uint64_t addr)
{
	uint64_t word;

	if (!devmem_of(mm)->any_lost)
		return false;
	return pagemap_words(mm_pagemap(mm), addr, 1, &word) ||
	       (word & (PM_WORD_SWAP | PM_WORD_UFFD_WP)) == PM_WORD_SWAP;
}

/* As for moves a marker in the page table is in the way of the zero page, and not of a copy. */
int64_t devmem_zero(struct hmm_mm *mm, uint64_t addr)
{
	const struct provider_move *ops = mm->provider.ops->move;
	const struct devmem_space *s = devmem_of(mm);
	const int64_t ret = ops->zero(&mm->provider, addr, s->page);

	if (ret == -EEXIST && atomic_load(&s->alias)) {
		const int64_t shown = ops->show(&mm->provider, addr, s->page);

		if (shown != -EINVAL)
			return shown;
	}
	return ret == -EEXIST && !may_be_lost(mm, addr)
		       ? ops->copy(&mm->provider, addr, (uint64_t)(uintptr_t)s->zeros, s->page)
		       : ret;
}

/* What of the block around the page comes home with it. */
static void choose(const struct devmem_space *s, uint64_t addr, struct run *run)
{
	const struct hmm_devmem *d = place_devmem(s, place_at(s, addr));
	const uint64_t around = max64(d->options.fault_around, s->page);
	const uint64_t low = addr & ~(around - 1);
	const uint64_t block = addr & ~(s->block - 1);
	uint64_t at = block;

	while (places_next(s, at, block + s->block, d, run) && run->end <= addr)
		at = run->end;
	if (run->huge)
		return;
	if (run->start < low) {
		run->first += (place_t)((low - run->start) / s->page);
		run->start = low;
	}
	run->end = min64(run->end, low + around);
}

static int answer_zero(struct hmm_mm *mm, uint64_t addr)
{
	const int64_t ret = devmem_zero(mm, addr);

	hmm_trace(touch_zero, mm, addr, ret);
	if (ret == -EAGAIN || ret == -ENOMEM)
		return (int)ret;
	if (ret < 0)
		mm->provider.ops->move->wake(&mm->provider, addr, devmem_of(mm)->page);
	return 0;
}

static bool is_away(const struct devmem_space *s, uint64_t addr)
{
	return place_at(s, addr) && !hmm_mutation(HMM_MUTATION_ZERO_BLIND);
}

/* since: since when a device is to copy it; 0: the touch is new. */
static int bring_home(struct hmm_mm *mm, uint64_t addr, uint64_t since)
{
	struct devmem_space *s = devmem_of(mm);
	struct copier *c = copy_touch(mm, addr, since);
	struct run run;
	uint64_t done;
	int err;

	choose(s, addr, &run);
	if (!since)
		count(&place_devmem(s, run.first)->stats.faults, 1);
	err = home_run(mm, &run, &done);
	if (c)
		c->urgent = false;
	if (err == -EINTR)
		return err;
	note(s, run.start, done);
	hmm_trace(touch, mm, addr, run.start, done, err);
	/* The one that is waited for may have come home before the error. */
	if (!c)
		return addr < done ? 0 : err;
	if (!place_at(s, addr))
		return 0;
	if (since)
		copy_withhold(mm, addr, &err);
	return err;
}

static int answer(struct hmm_mm *mm, uint64_t addr, uint64_t since)
{
	return is_away(devmem_of(mm), addr) ? bring_home(mm, addr, since) : answer_zero(mm, addr);
}

/* The kernel refuses a range that ends above the highest address, which nobody tells. */
static void wake_everybody(struct hmm_mm *mm)
{
	const struct provider_move *ops = mm->provider.ops->move;

	for (uint64_t at = LOWEST; at < HIGHEST; at *= 2) {
		ops->wake(&mm->provider, at, at);
		ops->wake(&mm->provider, at, at - LOWEST);
	}
}

static void wake_rest(struct hmm_mm *mm)
{
	struct devmem_space *s = devmem_of(mm);

	/* While there is no room those that wait in vain would come again and again. */
	if (s->parked == FAULTS_MAX)
		return;
	if (s->wake_all)
		wake_everybody(mm);
	s->wake_all = false;
}

static void drop_fault(struct devmem_space *s, uint32_t i)
{
	const uint32_t last = s->faults - 1;

	s->fault[i] = s->fault[last];
	s->fault_since[i] = s->fault_since[last];
	s->faults = last;
}

static void answer_all(struct hmm_mm *mm)
{
	struct devmem_space *s = devmem_of(mm);
	uint32_t parked = 0;
	uint32_t i = 0;

	s->parked = 0;
	while (i < s->faults) {
		const uint64_t since = s->fault_since[i];
		const int err = answer(mm, s->fault[i], since);
		const bool parks = err == -EINPROGRESS || err == -EIO;

		if (err == -EINTR)
			return;
		if (!parks && err != -EAGAIN && err != -ENOMEM) {
			drop_fault(s, i);
			continue;
		}
		s->fault_since[i++] = parks && !since ? clock_ns() : since;
		parked += parks;
	}
	s->parked = parked;
	wake_rest(mm);
}

/* 0; -EAGAIN: it waits. *done: up to where the row has come home. */
static int answer_untold(struct hmm_mm *mm, uint64_t addr, struct run *run, uint64_t *done)
{
	struct devmem_space *s = devmem_of(mm);
	int err;

	*done = run->start = 0;
	if (!is_away(s, addr))
		return answer_zero(mm, addr);
	/* Its device is to copy it, for which the pump is needed. */
	if (place_devmem(s, place_at(s, addr))->copier)
		return -EAGAIN;
	choose(s, addr, run);
	count(&place_devmem(s, run->first)->stats.faults, 1);
	err = home_untold(mm, run, done);
	return addr < *done ? 0 : err;
}

bool devmem_answer(struct hmm_mm *mm, struct provider_event *home)
{
	struct devmem_space *s = devmem_of(mm);
	struct hmm_invalidation inv;
	uint32_t i = 0;

	s->parked = 0;
	while (i < s->faults) {
		struct run run;
		uint64_t done;
		const int err = answer_untold(mm, s->fault[i], &run, &done);

		if (err == -EAGAIN || err == -ENOMEM)
			i++;
		else
			drop_fault(s, i);
		if (done == run.start)
			continue;
		inv = home_news(place_devmem(s, run.first), run.start, done);
		*home = (struct provider_event){ .type = PROVIDER_HOME,
						 .invalidates = inv.event,
						 .start = inv.start,
						 .end = inv.end,
						 .to = (uint64_t)(uintptr_t)inv.owner };
		return true;
	}
	wake_rest(mm);
	return false;
}

/*
 * Events were lost: what is away goes where it was last known to belong. False: a thief has come.
 */
static bool all_home(struct hmm_mm *mm)
{
	struct devmem_space *s = devmem_of(mm);
	struct run run;
	uint64_t at = 0;

	while (places_next(s, at, UINT64_MAX, NULL, &run)) {
		const int err = home_run(mm, &run, &at);

		if (err && err != -EINPROGRESS && err != -EIO)
			return err != -EINTR;
		at = run.end;
	}
	s->confused = false;
	return true;
}

void devmem_resolve(struct hmm_mm *mm)
{
	if ((!devmem_waits(mm) && !devmem_parked(mm)) || !moving_begin(mm))
		return;
	atomic_store(&devmem_of(mm)->staged, false);
	if (!devmem_of(mm)->confused || all_home(mm))
		answer_all(mm);
	moving_end(mm);
}

/* ---- before a range is populated ----------------------------------------------------------- */

static int fill(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	const struct provider_move *ops = mm->provider.ops->move;
	const struct devmem_space *s = devmem_of(mm);
	struct run run;

	while (start < end) {
		uint64_t to = end;
		int64_t n;

		if (places_next(s, start, end, NULL, &run))
			to = run.start;
		if (to == start) {
			start = run.end;
			continue;
		}
		n = ops->zero(&mm->provider, start, to - start);
		/* With a full userfaultfd a touch is answered, and a page need not be looked at. */
		if (n == -EEXIST && mm->provider.user_mode_only)
			n = devmem_zero(mm, start);
		/* Since Linux 7 a page behind the end of a file is want of memory. */
		if (n == -EEXIST || (n == -ENOMEM && atomic_load(&s->alias)))
			n = (int64_t)s->page;
		if (n < 0)
			return n == -EAGAIN || n == -ENOMEM ? (int)n : 0;
		start += (uint64_t)n;
	}
	return 0;
}

int devmem_fill(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t deadline)
{
	const struct devmem_space *s = devmem_of(mm);
	uint64_t old;
	int err;

	if (!s)
		return 0;
	moving_mask(&old);
	err = deadline_lock(&mm->region_lock, deadline);
	if (!err && devmem_trapped(mm, start, end)) {
		err = -EAGAIN;
		if (moving_begin(mm)) {
			err = fill(mm, start, end);
			moving_end(mm);
		}
	}
	if (err != -ETIME)
		pthread_mutex_unlock(&mm->region_lock);
	moving_unmask(&old);
	return err;
}
