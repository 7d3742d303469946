// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Touches of pages that are not there. The pump answers them at the end of a cycle: it holds
 * region_lock, has closed the gate, and has handled all events that were read. So a page without a
 * place was never there. Faults may be read before older events: what has not been read makes the
 * kernel refuse, and the answer waits for the next cycle.
 */
#include "devmem/devmem.h"
#include "devmem/moving.h"
#include "space/space.h"
#include "provider/provider.h"
#include "base/deadline.h"
#include "base/itree.h"
#include "base/mutation.h"
#include "base/number.h"
#include "base/trace.h"

#include <errno.h>

/* After a touch the CPU keeps the page for so long, whatever a device wants. */
#define KEEP_NS 100000ULL
#define LOWEST 65536ULL
#define HIGHEST (1ULL << 46)

static void note(struct devmem_space *s, uint64_t start, uint64_t end)
{
	const uint32_t i = s->recents++ % RECENT_HOME;

	s->recent[i].start = start;
	s->recent[i].end = end;
	s->recent[i].ns = clock_ns();
}

uint64_t devmem_recent(const struct devmem_space *s, uint64_t start, uint64_t end)
{
	const uint64_t now = clock_ns();
	uint64_t left = 0;

	for (int i = 0; i < RECENT_HOME; i++) {
		const uint64_t until = s->recent[i].ns + KEEP_NS;

		if (s->recent[i].start < end && s->recent[i].end > start && until > now)
			left = max64(left, until - now);
	}
	return left;
}

/* As for moves a marker in the page table is in the way of the zero page, and not of a copy. */
int64_t devmem_zero(struct hmm_mm *mm, uint64_t addr)
{
	const struct provider_move *ops = mm->provider.ops->move;
	const struct devmem_space *s = devmem_of(mm);
	const int64_t ret = ops->zero(&mm->provider, addr, s->page);

	return ret == -EEXIST
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

static int answer(struct hmm_mm *mm, uint64_t addr)
{
	const struct provider_move *ops = mm->provider.ops->move;
	struct devmem_space *s = devmem_of(mm);
	struct run run;
	uint64_t done;
	int64_t ret;
	int err;

	if (place_at(s, addr) && !hmm_mutation(HMM_MUTATION_ZERO_BLIND)) {
		choose(s, addr, &run);
		count(&place_devmem(s, run.first)->stats.faults, 1);
		err = home_run(mm, &run, &done);
		note(s, run.start, done);
		hmm_trace(touch, mm, addr, run.start, done, err);
		/* The one that is waited for may have come home before the error. */
		return addr < done ? 0 : err;
	}
	ret = devmem_zero(mm, addr);
	hmm_trace(touch_zero, mm, addr, ret);
	if (ret == -EAGAIN || ret == -ENOMEM)
		return (int)ret;
	if (ret < 0)
		ops->wake(&mm->provider, addr, s->page);
	return 0;
}

static void answer_all(struct hmm_mm *mm)
{
	struct devmem_space *s = devmem_of(mm);
	uint32_t left = 0;

	for (uint32_t i = 0; i < s->faults; i++) {
		const int err = answer(mm, s->fault[i]);

		if (err == -EAGAIN || err == -ENOMEM)
			s->fault[left++] = s->fault[i];
	}
	s->faults = left;
	if (s->wake_all)
		mm->provider.ops->move->wake(&mm->provider, LOWEST, HIGHEST);
	s->wake_all = false;
}

/* Events were lost: what is away goes where it was last known to belong. */
static void all_home(struct hmm_mm *mm)
{
	struct devmem_space *s = devmem_of(mm);
	struct run run;
	uint64_t at = 0;

	while (places_next(s, at, UINT64_MAX, NULL, &run)) {
		if (home_run(mm, &run, &at))
			return;
	}
	s->confused = false;
}

bool devmem_waits(struct hmm_mm *mm)
{
	const struct devmem_space *s = devmem_of(mm);

	return s && (s->faults || s->wake_all || s->confused);
}

void devmem_resolve(struct hmm_mm *mm)
{
	if (!devmem_waits(mm) || !moving_begin(mm))
		return;
	if (devmem_of(mm)->confused)
		all_home(mm);
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
		if (n == -EEXIST)
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
	sigset_t old;
	int err;

	if (!s)
		return 0;
	moving_mask(&old);
	err = deadline_lock(&mm->region_lock, deadline);
	if (!err && itree_first(&s->trapped, start, end)) {
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
