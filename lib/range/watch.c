// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * hmm_range_watch(): registers the mappings of a range, and brings no page in.
 *
 *	registers and tracks each mapping
 *	reads the sequence
 *	looks whether each mapping is still the same and really registered, and for discards
 *
 * A change before the sequence was read has unregistered memory, replaced a mapping, or is a
 * discard that may not have ended. The last step finds these. A change after it raises an event, as
 * the memory is registered.
 */
#include "range/check.h"
#include "files/files.h"
#include "mm/fork.h"
#include "watch/discard.h"
#include "watch/region.h"
#include "notifier/drain.h"
#include "notifier/notifier.h"
#include "engine/gate.h"
#include "space/debug.h"
#include "space/space.h"
#include "kernel/pagemap.h"
#include "base/deadline.h"
#include "base/grow.h"
#include "base/hooks.h"
#include "base/nocancel.h"
#include "base/number.h"

#include <errno.h>
#include <sys/mman.h>

#define DISCARD_NS 20000000ULL /* how long it waits for a discard to end */

static int check(const struct hmm_range *r)
{
	if (r->flags || !r->notifier || r->start >= r->end ||
	    (r->start | r->end) & (HMM_PAGE_SIZE - 1))
		return -EINVAL;
	return ni_covers(r->notifier, r->start, r->end) ? 0 : -EINVAL;
}

/* -EAGAIN: the mapping has changed. */
static int watch_mapping(struct hmm_range *r, const struct hmm_vma *vma, uint64_t start,
			 uint64_t end, uint64_t deadline)
{
	struct hmm_mm *mm = ni_mm(r->notifier);
	int err;

	if (vma->kind == HMM_VMA_SPECIAL)
		return -EOPNOTSUPP;
	if (!(vma->prot & PROT_READ))
		return -EFAULT;
	/* Only a scan tells whether a System V segment that was attached anew is registered. */
	if (vma->kind == HMM_VMA_SYSV && !mm_pagemap(mm)->scan && !mm->log)
		return -EOPNOTSUPP;
	err = region_ensure(mm, vma, start, end, deadline);
	if (mm->log && (!err || err == -EOPNOTSUPP))
		return 0;
	if (err == -ENOENT || err == -EFAULT || err == -EINVAL)
		return -EAGAIN;
	if (err)
		return err;
	ni_note_kind(r->notifier, vma->kind);
	err = file_track(mm, vma, deadline);
	return err == -EBUSY ? -EAGAIN : err;
}

static int watch_mappings(struct hmm_range *r, uint64_t deadline)
{
	struct hmm_mm *mm = ni_mm(r->notifier);
	struct hmm_vma vma;
	int err = 0;

	for (uint64_t at = r->start; !err && at < r->end; at = vma.end) {
		err = vma_lookup_unnamed(mm_vmas(mm), at, &vma);
		if (err == -ENOENT || (!err && vma.start > at))
			return -EFAULT;
		if (!err)
			err = watch_mapping(r, &vma, at, min64(vma.end, r->end), deadline);
	}
	return err;
}

/* 0; -EAGAIN; -EOPNOTSUPP: changes of a file will not be seen. */
static int all_watched(struct hmm_range *r, uint64_t deadline)
{
	struct hmm_mm *mm = ni_mm(r->notifier);
	struct hmm_vma vma;
	int covered = mm->log ? 1 : region_covers(mm, r->start, r->end, deadline);

	if (covered <= 0)
		return covered ? covered : -EAGAIN;
	for (uint64_t at = r->start; at < r->end; at = vma.end) {
		if (vma_lookup_unnamed(mm_vmas(mm), at, &vma) || vma.start > at)
			return -EAGAIN;
		if (!mm->log && !file_told_of(mm, &vma, at, min64(vma.end, r->end)))
			return -EOPNOTSUPP;
	}
	return mm->log || mapping_stands(mm, r->start, r->end) ? 0 : -EAGAIN;
}

static int attempt(struct hmm_range *r, uint64_t deadline)
{
	struct hmm_mm *mm = ni_mm(r->notifier);
	uint64_t word;
	int err = mm_fork_wait(deadline, &word);

	if (!err)
		err = watch_mappings(r, deadline);
	/* What other threads have read for the pump is not handled yet, and will change it. */
	if (!err && gate_has_thieves(mm))
		return -EAGAIN;
	if (!err)
		err = ni_read_begin(r->notifier, deadline, &r->notifier_seq);
	if (!err)
		err = log_wait(mm, r->start, r->end, deadline);
	if (err)
		return err;
	hmm_hook(HMM_POINT_SNAPSHOT);
	err = all_watched(r, deadline);
	if (err)
		return err;
	/* After the sequence: a discard that is announced from now on changes it. */
	return discard_pending_fault(mm, r->start, r->end, r) ? -EINPROGRESS : 0;
}

int range_watch(struct hmm_range *range, uint64_t timeout_ns)
{
	struct hmm_mm *mm = ni_mm(range->notifier);
	const uint64_t deadline = deadline_after(timeout_ns);
	const uint64_t settled = clock_ns() + DISCARD_NS;
	bool changed = false;
	int err;

	mm_refused_forget();
	for (unsigned int round = 0;; round++) {
		err = mm_alive(mm);
		if (!err)
			err = attempt(range, deadline);
		if (err != -EAGAIN && err != -EINPROGRESS)
			break;
		if (err == -EINPROGRESS && clock_ns() >= settled)
			return -EAGAIN;
		changed |= err == -EAGAIN;
		if (mm_refused())
			return mm_refused();
		if (deadline_passed(deadline))
			return err == -EAGAIN ? -EBUSY : -EAGAIN;
		deadline_pause(round);
	}
	/* The error says where the time went, as that of hmm_range_fault() does. */
	return err == -ETIME && changed ? -EBUSY : mm_lost_by(mm, err);
}

int hmm_range_watch(struct hmm_range *range, uint64_t timeout_ns)
{
	DEBUG_CALL(NULL, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;
	struct hmm_range own;
	int err = grow_take(&own, sizeof(own), range, GROW_LEAST(struct hmm_range, end));

	if (!err)
		err = check(&own);
	if (err)
		return err;
	err = range_watch(&own, timeout_ns);
	range->notifier_seq = own.notifier_seq;
	return err;
}
