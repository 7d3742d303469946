// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Registering. The kernel splits a VMA when a part of it is registered, and the program sees that:
 * mremap of the whole fails with EFAULT. Since Linux 6.17 an mremap of several VMAs stops at the
 * first that is registered, when those before it are moved already. So a VMA is registered as a
 * whole, and the code minds three things:
 *
 * 1. The program may have mapped a larger VMA in its place since it was looked up, of which only a
 * part would be registered. So the VMA is looked up again just before the call, and the call
 * reaches over the holes on both sides, which the kernel accepts. A larger VMA that the program has
 * mapped over a hole is then registered as a whole, too.
 *
 *	look-up: [A, B)			program
 *	look again: still there
 *					unmaps [A, B), maps [A, C)
 *	registers all from the VMA before to the VMA behind: [A, C)
 *
 * 2. The kernel would have joined the VMA with an unregistered VMA beside it that is like it. So
 * that neighbour is registered, too, and the kernel joins the two. This mends also the case that
 * the call over the holes cannot prevent: the VMA has a neighbour instead of a hole, and the
 * program replaces both by one VMA. That one is split for some microseconds, in which its mremap
 * fails (3 of 60,000 in a program that does nothing else).
 *
 * 3. So are neighbours that differ in protection: the program may change that for a moment, and
 * expects one VMA afterwards. And since Linux 6.17 one mremap moves a VMA together with VMAs before
 * it that differ in protection or advice. If the first VMA of such a call is registered the kernel
 * refuses the whole call, as older kernels always do.
 */
#include "watch/region.h"
#include "devmem/devmem.h"
#include "notifier/notifier.h"
#include "space/space.h"
#include "space/turn.h"
#include "provider/provider.h"
#include "base/hooks.h"
#include "base/itree.h"
#include "base/mutation.h"
#include "base/number.h"
#include "base/pool.h"

#include <errno.h>
#include <sys/mman.h>

#define RW (PROT_READ | PROT_WRITE)
#define HOLE_MAX (64ULL << 20) /* how far into a hole a call reaches */
#define HOLE_NEAR (1ULL << 20)
#define NEIGHBOURS_MAX 64

bool watch_is_whole(const struct hmm_mm *mm, const struct hmm_vma *vma)
{
	if (vma->kind != HMM_VMA_FILE && vma->kind != HMM_VMA_DAX)
		return !hmm_mutation(HMM_MUTATION_PART_OF_VMA);
	return !(mm->options.flags & HMM_MM_FILE_CHUNKS) && !hmm_mutation(HMM_MUTATION_FILE_CHUNKS);
}

/* Do both map the same object, at the same distance between address and offset? */
static bool same_backing(const struct hmm_vma *a, const struct hmm_vma *b)
{
	if (a->shared != b->shared || a->inode != b->inode || a->dev_major != b->dev_major ||
	    a->dev_minor != b->dev_minor)
		return false;
	return (!a->inode && !a->dev_major && !a->dev_minor) ||
	       a->offset - a->start == b->offset - b->start;
}

/* ---- holes ----------------------------------------------------------------------------------- */

/*
 * Moves *start down to the end of the mapping before it, by `bytes` at most. False: the VMA at
 * *start is another by now.
 */
static bool hole_before(struct hmm_mm *mm, uint64_t *start, uint64_t bytes)
{
	const uint64_t top = *start;
	uint64_t low = top - bytes;
	struct hmm_vma vma;

	for (int i = 0; i < 2 && low < top; i++, low = vma.end) {
		if (vma_peek(&mm->vmas, low, &vma) || vma.start > top)
			return false;
		if (vma.start == top) {
			*start = low;
			return true;
		}
	}
	return low <= top;
}

/* Widens the range over the holes beside the VMA. False: the VMA is another by now. */
static bool widen(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t *start, uint64_t *end)
{
	struct hmm_vma next;

	if (*start == vma->start && *start > HOLE_MAX) {
		if (!hole_before(mm, start, HOLE_MAX))
			return false;
		if (*start == vma->start && !hole_before(mm, start, HOLE_NEAR))
			return false;
	}
	if (*end == vma->end && *end < UINT64_MAX - HOLE_MAX) {
		if (vma_peek(&mm->vmas, vma->end, &next))
			next.start = UINT64_MAX;
		if (next.start < vma->end)
			return false;
		*end = min64(next.start, vma->end + HOLE_MAX);
	}
	return true;
}

/* ---- before and after ------------------------------------------------------------------------ */

/*
 * Rule 3 in docs/protocol.md. No driver should hold a translation in a gap, as the code that
 * unregistered it has invalidated it. To ask costs little, and if one does hold something it is
 * invalidated.
 */
static int kill_first(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t deadline)
{
	struct hmm_invalidation inv = { .start = start, .end = end, .event = HMM_EVENT_CLEAR };
	int ret;

	if (hmm_mutation(HMM_MUTATION_BLIND_REGISTER))
		return 0;
	ret = notifiers_hold(mm, start, end, deadline);
	if (ret > 0)
		ret = mm_invalidate(mm, &inv, deadline);
	if (ret < 0)
		return ret;
	hmm_hook(HMM_POINT_KILLED);
	return 0;
}

static bool still_there(struct hmm_mm *mm, const struct hmm_vma *vma)
{
	struct hmm_vma now;

	if (hmm_mutation(HMM_MUTATION_PART_OF_VMA) || hmm_mutation(HMM_MUTATION_SPLIT_VMA))
		return true;
	return !vma_peek(&mm->vmas, vma->start, &now) && now.start == vma->start &&
	       now.end == vma->end && same_backing(&now, vma);
}

int watch_take_back(struct hmm_mm *mm, uint64_t start, uint64_t end, bool none)
{
	struct hmm_vma vma;
	int n = 0;

	for (uint64_t at = start; at < end && !vma_peek(&mm->vmas, at, &vma) && vma.start < end;
	     at = vma.end) {
		const uint64_t from = max64(vma.start, at);
		const uint64_t to = min64(vma.end, end);

		if ((!(none && !vma.prot) && !pool_owns(vma.start)) || devmem_any(mm, from, to))
			continue;
		unwatch(mm, from, to);
		region_forget(mm, from, to);
		n++;
	}
	return n;
}

/*
 * The VMA was looked up before the call. If the program has unmapped it since, memory of the
 * library may have come there. That must not stay registered: its unmapping would wait for the
 * pump, and the library unmaps while it holds locks that the pump takes. Memory that cannot be
 * accessed may be about to become the library's.
 *
 * Memory that came there after the registration is not registered. It is a VMA of its own, as the
 * kernel does not join registered and unregistered VMAs. So if no single VMA reaches over the whole
 * range, the range is not what was looked up, and is forgotten. This does not notice all: nothing
 * of the range may have been there when it was registered, and another VMA came since. So a fault
 * asks the kernel whether what is remembered is true (range/snapshot.c).
 */
static int look_again(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t start, uint64_t end)
{
	struct hmm_vma now;

	if (!vma_peek(&mm->vmas, start, &now) && now.start <= start && now.end >= end && now.prot &&
	    same_backing(&now, vma) && !pool_owns(now.start))
		return 0;
	region_forget(mm, start, end);
	return -EAGAIN;
}

static int watch(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	int err = mm->provider.ops->watch(&mm->provider, start, end);

	return err == -ENOMEM ? -ENOSPC : err == -EBUSY ? -EOPNOTSUPP : err;
}

int watch_gap(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t start, uint64_t end,
	      uint64_t deadline)
{
	const bool whole = watch_is_whole(mm, vma);
	const uint32_t cost = whole ? 1 : 2;
	uint64_t low = start;
	uint64_t high = end;
	int err;

	if (!region_affordable(mm, start, end, cost))
		return -ENOSPC;
	if (whole && !hmm_mutation(HMM_MUTATION_SPLIT_VMA) && !widen(mm, vma, &low, &high))
		return -EAGAIN;
	err = kill_first(mm, low, high, deadline);
	if (err)
		return err;
	count(&mm->stats.registrations, 1);
	if (whole && !still_there(mm, vma))
		return -EAGAIN;
	err = watch(mm, low, high);
	/* memory may have come into a hole that cannot be registered */
	if (err && (low < start || high > end) && (!whole || still_there(mm, vma))) {
		low = start;
		high = end;
		err = watch(mm, low, high);
	}
	/*
	 * The VMA had gone at that instant. Kernel 6.1 says ENOMEM then, as for too many mappings,
	 * if nothing is mapped above it either.
	 */
	if (err && whole && !still_there(mm, vma))
		return -EAGAIN;
	if (err)
		return err;
	err = region_remember(mm, start, end, cost);
	watch_take_back(mm, low, high, true);
	return err ? err : look_again(mm, vma, start, end);
}

/* ---- neighbours ------------------------------------------------------------------------------ */

/* Would the kernel join the two VMAs, or move them in one call, perhaps after an mprotect? */
static bool goes_with(struct hmm_mm *mm, const struct hmm_vma *vma, struct hmm_vma *other)
{
	if (!same_backing(vma, other) || !(other->prot & RW))
		return false;
	return !vma_lookup_unnamed(&mm->vmas, other->start, other) && other->kind == vma->kind &&
	       !pool_owns(other->start);
}

static bool watch_neighbour(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t deadline)
{
	const uint64_t gap = region_first_gap(mm, vma->start, vma->end);

	return gap == vma->start && !itree_first(&mm->regions, vma->start, vma->end) &&
	       !watch_gap(mm, vma, vma->start, vma->end, deadline);
}

/*
 * What is registered with us is trapped, too: the kernel joins no memory that is with memory that
 * is not.
 */
static bool trap_neighbour(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t deadline)
{
	const struct provider *p = &mm->provider;

	(void)deadline;
	/* The kernel is asked, as what is registered here must be invalidated before. */
	if (region_first_gap(mm, vma->start, vma->end) != vma->end ||
	    p->ops->is_watched(p, vma->start, vma->end) != 1 ||
	    p->ops->move->trap(p, vma->start, vma->end))
		return false;
	devmem_note_trapped(devmem_of(mm), vma->start, vma->end);
	return true;
}

/* Calls fn of each VMA that goes with this one, from it on, until that says no. */
static void each_neighbour(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t deadline,
			   bool (*fn)(struct hmm_mm *, const struct hmm_vma *, uint64_t))
{
	struct hmm_vma at = *vma;
	struct hmm_vma other;

	if (vma->kind == HMM_VMA_SYSV || vma->kind == HMM_VMA_HUGETLB ||
	    hmm_mutation(HMM_MUTATION_PART_OF_VMA) || hmm_mutation(HMM_MUTATION_NO_NEIGHBOURS) ||
	    hmm_mutation(HMM_MUTATION_SPLIT_VMA))
		return;
	for (int i = 0; i < NEIGHBOURS_MAX; i++, at = other) {
		if (vma_peek(&mm->vmas, at.end, &other) || other.start != at.end ||
		    !goes_with(mm, &at, &other) || !fn(mm, &other, deadline))
			break;
	}
	at = *vma;
	for (int i = 0; i < NEIGHBOURS_MAX; i++, at = other) {
		if (vma_peek(&mm->vmas, at.start - 1, &other) || other.end != at.start ||
		    !goes_with(mm, &at, &other) || !fn(mm, &other, deadline))
			break;
	}
}

void watch_trap_neighbours(struct hmm_mm *mm, const struct hmm_vma *vma)
{
	each_neighbour(mm, vma, 0, trap_neighbour);
}

void watch_neighbours(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t deadline)
{
	each_neighbour(mm, vma, deadline, watch_neighbour);
	if (!devmem_trapped(mm, vma->start - 1, vma->end + 1) || vma->kind != HMM_VMA_ANON)
		return;
	turn_take(mm);
	if (trap_neighbour(mm, vma, deadline))
		watch_trap_neighbours(mm, vma);
	turn_end(mm);
}
