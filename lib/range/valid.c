// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Validated use with checks. The checks come first, the sequence and the probe last. So what the
 * checks found was true at an instant at which, as the sequence and the probe show afterwards,
 * nothing had been invalidated or was in flight.
 */
#include "range/once.h"
#include "files/files.h"
#include "watch/discard.h"
#include "watch/region.h"
#include "notifier/notifier.h"
#include "space/debug.h"
#include "space/space.h"
#include "kernel/pagemap.h"
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

int hmm_range_check(const struct hmm_range *range, unsigned int checks)
{
	DEBUG_CALL(NULL, DEBUG_QUICK);
	HMM_NO_CANCEL;
	struct hmm_mm *mm;
	uint64_t start;
	uint64_t end;
	int err = grow_check(range, sizeof(*range), GROW_LEAST(struct hmm_range, end));

	if (err)
		return err;
	mm = ni_mm(range->notifier);
	start = range->start;
	end = range->end;
	err = mm_alive(mm);
	if (err)
		return err;
	if (hmm_mutation(HMM_MUTATION_FILE_BLIND))
		checks &= ~HMM_CHECK_FILE;
	if (hmm_mutation(HMM_MUTATION_PRESENT_BLIND))
		checks &= ~HMM_CHECK_PRESENT;
	if (hmm_mutation(HMM_MUTATION_VMA_BLIND))
		checks &= ~HMM_CHECK_VMA;
	if (mapping_has_sysv(mm, start, end))
		checks |= HMM_CHECK_VMA;
	if (checks && !stands(mm, range, checks))
		return -ESTALE;
	if (stale_undelivered(mm))
		return -ESTALE;
	return hmm_interval_stale(range->notifier, range->notifier_seq) ? -ESTALE : 0;
}
