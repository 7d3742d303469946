// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Validated use with checks. The checks come first, the sequence and the probe last. So what the
 * checks found was true at an instant at which, as the sequence and the probe show afterwards,
 * nothing had been invalidated or was in flight.
 */
#include "range/check.h"
#include "range/once.h"
#include "files/files.h"
#include "watch/discard.h"
#include "watch/region.h"
#include "notifier/notifier.h"
#include "space/debug.h"
#include "space/space.h"
#include "kernel/pagemap.h"
#include "base/deadline.h"
#include "base/grow.h"
#include "base/mutation.h"
#include "base/nocancel.h"

#include <hmm/range.h>

#include <errno.h>

static bool file_stands(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	struct hmm_vma vma;
	int r = file_unchanged(mm, start, end);

	if (r != -ENOENT)
		return r == 1;
	/* No file is tracked there. That is right if none is mapped. */
	while (start < end && !vma_lookup_unnamed(mm_vmas(mm), start, &vma) && vma.start < end) {
		if (vma.kind == HMM_VMA_FILE || vma.kind == HMM_VMA_DAX)
			return false;
		start = vma.end;
	}
	return true;
}

static bool pages_stand(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	const bool pending = discard_pending(mm, start, end);

	/*
	 * The marks of unwritten pages belong to the userfaultfd that has registered the range.
	 * Only pages that are registered with us are looked at.
	 */
	if (pending ? !mapping_stands(mm, start, end) : !region_stands_known(mm, start, end))
		return false;
	return (pending ? pagemap_all_armed : pagemap_all_present)(mm_pagemap(mm), start, end) == 1;
}

static bool stands(struct hmm_mm *mm, const struct hmm_range *range, unsigned int checks)
{
	const uint64_t start = range->start;
	const uint64_t end = range->end;
	const struct once_note note = { range->notifier, range->notifier_seq, start, end, 0 };
	const int once = once_check(mm, &note);

	/*
	 * Memory that cannot be watched is judged by all that can be seen of it, whatever checks
	 * were asked for.
	 */
	if (once >= 0)
		return once;
	if (checks & HMM_CHECK_VMA && !mapping_stands(mm, start, end))
		return false;
	if (checks & HMM_CHECK_FILE && !file_stands(mm, start, end))
		return false;
	return !(checks & HMM_CHECK_PRESENT) || pages_stand(mm, start, end);
}

static int check_call(const struct hmm_range *range, unsigned int checks)
{
	const unsigned int known = HMM_CHECK_ALL | HMM_CHECK_KIND | HMM_CHECK_ORDERED;
	int err = grow_check(range, sizeof(*range), GROW_LEAST(struct hmm_range, end));

	return err ? err : checks & ~known || !range->notifier ? -EINVAL : 0;
}

/* Which checks are made in the end, HMM_CHECK_ORDERED left aside. */
static unsigned int checks_of(const struct hmm_range *range, unsigned int checks)
{
	/* What a log tells of changes the sequence. */
	if (ni_mm(range->notifier)->log)
		return 0;
	if (checks & HMM_CHECK_KIND)
		checks |= ni_kinds(range->notifier);
	if (hmm_mutation(HMM_MUTATION_FILE_BLIND))
		checks &= ~HMM_CHECK_FILE;
	if (hmm_mutation(HMM_MUTATION_PRESENT_BLIND))
		checks &= ~HMM_CHECK_PRESENT;
	if (mapping_has_sysv(ni_mm(range->notifier), range->start, range->end))
		checks |= HMM_CHECK_VMA;
	if (hmm_mutation(HMM_MUTATION_VMA_BLIND))
		checks &= ~HMM_CHECK_VMA;
	return checks & HMM_CHECK_ALL;
}

/*
 * Has nothing happened to the range, and is nothing in flight? Part of its callers: a function that
 * returns after a system call costs dearly.
 */
static inline __attribute__((always_inline)) bool quiet(const struct hmm_range *range,
							unsigned int checks)
{
	struct hmm_interval_notifier *ni = range->notifier;

	if (stale_undelivered(ni_mm(ni)))
		return false;
	if (checks & HMM_CHECK_ORDERED)
		return !ni_stale_ordered(ni, range->notifier_seq);
	return !hmm_interval_stale(ni, range->notifier_seq);
}

int range_check(const struct hmm_range *range, unsigned int checks)
{
	struct hmm_mm *mm = ni_mm(range->notifier);
	const unsigned int all = checks_of(range, checks);
	int err = mm_alive(mm);

	if (err)
		return err;
	if (all && !stands(mm, range, all))
		return -ESTALE;
	return quiet(range, checks) ? 0 : -ESTALE;
}

int hmm_range_check(const struct hmm_range *range, unsigned int checks)
{
	DEBUG_CALL(NULL, DEBUG_QUICK);
	HMM_NO_CANCEL;
	int err = check_call(range, checks);

	return err ? err : range_check(range, checks);
}

/*
 * A check may say no because a change of other memory is in flight. If it was quiet before and
 * after, the check has said no for the range's own sake.
 */
int range_check_until(const struct hmm_range *range, unsigned int checks, uint64_t deadline)
{
	struct hmm_mm *mm = ni_mm(range->notifier);
	const unsigned int all = checks_of(range, checks);
	bool was_quiet = false;

	mm_refused_forget();
	for (unsigned int round = 0;; round++) {
		const bool looked = !all || stands(mm, range, all);
		const bool is_quiet = quiet(range, checks);
		int err = mm_alive(mm);

		if (!err && looked && is_quiet)
			return 0;
		if (!err &&
		    (ni_told(range->notifier, range->notifier_seq) || (was_quiet && is_quiet)))
			return -ESTALE;
		if (!err)
			err = mm_refused();
		if (err)
			return err;
		/* What has been left to the next call is left to this one. */
		files_tell(mm, deadline);
		/* When it has just become quiet the next look tells. */
		if (!(is_quiet && !was_quiet) && deadline_passed(deadline))
			return -ETIME;
		if (!is_quiet)
			deadline_spin(round);
		was_quiet = is_quiet;
	}
}

/* Memory that raises events, and no question but whether one was raised. No lock is needed. */
static inline bool needs_no_check(const struct hmm_range *range, unsigned int checks)
{
	struct hmm_mm *mm = ni_mm(range->notifier);

	return !(checks & HMM_CHECK_ALL) && !ni_kinds(range->notifier) && !mapping_any_sysv(mm) &&
	       !mm_alive(mm);
}

static __attribute__((noinline)) int check_timeout(const struct hmm_range *range,
						   unsigned int checks, uint64_t timeout_ns)
{
	HMM_NO_CANCEL;
	/* Mostly it is known at once, and the clock need not be read. */
	int err = range_check(range, checks);

	return err == -ESTALE ? range_check_until(range, checks, deadline_after(timeout_ns)) : err;
}

int hmm_range_check_timeout(const struct hmm_range *range, unsigned int checks, uint64_t timeout_ns)
{
	DEBUG_CALL(NULL, DEBUG_BLOCKS);
	const int err = check_call(range, checks);

	if (__builtin_expect(err, 0))
		return err;
	/* A cache of registrations asks for this at each use. */
	if (__builtin_expect(needs_no_check(range, checks) && quiet(range, checks), 1))
		return 0;
	return check_timeout(range, checks, timeout_ns);
}
