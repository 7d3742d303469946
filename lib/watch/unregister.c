/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Taking registrations back, before detaching: a child that keeps our userfaultfd open would
 * otherwise keep them.
 *
 * Not in one call a region. Linux 6.12 ends in a BUG when it unregisters a mapping that could then
 * be joined to the one on its left and must not be, as its kind is told when a mapping goes: System
 * V segments, files of FUSE and 9p. It looks at the left one, gives up, goes on to the next, which
 * is the same mapping again, unregistered by now, and asserts that it is not:
 *
 *	|  left, not registered  |  registered  |	of one segment or file
 *
 * So such mappings are unregistered one a call, from the right to the left, and what lies at the
 * left unregistered is registered before. What is registered differently cannot be joined.
 */
#include "watch/region.h"
#include "space/space.h"
#include "provider/provider.h"
#include "kernel/pagemap.h"

/* Perhaps: all that has an object behind it. */
static bool may_not_be_joined(const struct hmm_vma *vma)
{
	return vma->inode || vma->dev_major || vma->dev_minor;
}

static bool continues(const struct hmm_vma *left, const struct hmm_vma *vma)
{
	return left->end == vma->start && left->inode == vma->inode &&
	       left->dev_major == vma->dev_major && left->dev_minor == vma->dev_minor &&
	       left->offset + (left->end - left->start) == vma->offset;
}

/*
 * Registers what lies before the mapping and could be joined to it. True: it did, from *start on.
 */
static bool watch_left(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t *start)
{
	struct hmm_vma left;

	if (!vma->start || vma_peek(&mm->vmas, vma->start - 1, &left) || !continues(&left, vma) ||
	    pagemap_is_registered(&mm->pagemap, left.start) == 1 ||
	    mm->provider.ops->watch(&mm->provider, left.start, left.end))
		return false;
	*start = left.start;
	return true;
}

/*
 * Of one VMA. Kernels before 6.17 would unregister what is somebody else's as well, so it is asked
 * whose it is; but not what is nobody's, which that would register: a part of a segment that was
 * attached again, next to its other part.
 */
static void unwatch_ours(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	if (!pagemap_is_registered(&mm->pagemap, start))
		return;
	if (!mm->provider.ops->watch(&mm->provider, start, end))
		mm->provider.ops->unwatch(&mm->provider, start, end);
}

static void unwatch_leftwards(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	struct hmm_vma vma;

	while (start < end) {
		uint64_t more;

		if (vma_peek(&mm->vmas, end - 1, &vma) || vma.start >= end)
			return; /* unmapped meanwhile */
		if (vma.start >= start && watch_left(mm, &vma, &more) && more < start)
			start = more;
		unwatch_ours(mm, vma.start > start ? vma.start : start, end);
		end = vma.start;
	}
}

/* How far mappings that may not be joined lie side by side, from vma on. */
static uint64_t end_of_row(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t end)
{
	struct hmm_vma next;
	uint64_t at = vma->end;

	while (at < end && !vma_peek(&mm->vmas, at, &next) && next.start == at &&
	       may_not_be_joined(&next))
		at = next.end;
	return at < end ? at : end;
}

void unwatch(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	struct hmm_vma vma;
	uint64_t to;

	for (uint64_t at = start; at < end; at = to) {
		if (vma_peek(&mm->vmas, at, &vma) || vma.start >= end)
			return;
		if (vma.start > at)
			at = vma.start;
		to = vma.end < end ? vma.end : end;
		if (may_not_be_joined(&vma)) {
			to = end_of_row(mm, &vma, end);
			unwatch_leftwards(mm, at, to);
		} else {
			unwatch_ours(mm, at, to);
		}
	}
}
