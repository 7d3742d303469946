// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Taking registrations back before the space is detached. Closing our userfaultfd is not enough: a
 * child that keeps it open keeps the registrations.
 *
 * A region is not unregistered in one call. Linux 6.12 stops with a BUG when it unregisters a VMA
 * that it would join to the VMA on its left and may not join, as its driver is told when a VMA goes
 * (System V segments, files of FUSE and 9p). The kernel looks at the left VMA, does not join, goes
 * on to what it takes for the next VMA, which is the same one again, unregistered by now, and
 * asserts that it is registered:
 *
 *	|  left, not registered  |  registered  |	of one segment or file
 *
 * So such VMAs are unregistered one a call, from the right to the left. If a VMA has an
 * unregistered one on its left that it could be joined to, that one is registered first. The kernel
 * does not join VMAs of which only one is registered.
 */
#include "watch/region.h"
#include "space/space.h"
#include "provider/provider.h"
#include "kernel/pagemap.h"

/* True for every VMA that maps an object, as the kernel does not say which kinds are told. */
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

/* Registers the VMA before `vma` if both could be joined. True if so: it begins at *start. */
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
 * Unregisters one VMA. Kernels before 6.17 would unregister a VMA of somebody else's userfaultfd,
 * too, so the VMA is registered again, which fails if it is not ours. That would register a VMA
 * which is nobody's (a part of a segment that was attached again, next to its other part), so the
 * page table is asked first.
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
			return; /* the program has unmapped the rest */
		if (vma.start >= start && watch_left(mm, &vma, &more) && more < start)
			start = more;
		unwatch_ours(mm, vma.start > start ? vma.start : start, end);
		end = vma.start;
	}
}

/* The end of the row of VMAs that begins with `vma`, lie side by side and may not be joined. */
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
