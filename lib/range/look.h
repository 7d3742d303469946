/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Two questions that a fault need not ask the kernel if its caller knows the answer. Each is a
 * system call.
 *
 * What is mapped? An older look-up is good enough to choose a chunk and to populate it, as no
 * entries are made from it. When the page table is read the mapping is looked up again. If it is
 * not what the older look-up says the attempt begins again with a look-up of its own. An older
 * look-up is never a reason to refuse: the kernel is asked before a fault fails because memory is
 * missing or not permitted.
 *
 *	older look-up		fault				program
 *	[A, B) read, write
 *				chooses a chunk, populates
 *								mprotect, munmap
 *				scans
 *				looks up: differs, starts over
 *								from here on the sequence, the
 *								probe and the checks, as always
 *
 * A look-up is kept only while the regions stay registered that were so when it was made. When one
 * ends there is an event, the pump removes the region, and regions_taken() grows. A fault would be
 * right without that; it saves attempts that begin again.
 *
 * Is a change in flight? A walk ends with a probe, and its commit with another one. The later one
 * proves more, as it sees all changes that took effect before it. So a thread that commits what it
 * walks makes only that one.
 */
#ifndef LIB_RANGE_LOOK_H
#define LIB_RANGE_LOOK_H

#include "space/space.h"

#include <hmm/range.h>

struct vma_look {
	struct hmm_vma vma;
	uint64_t taken; /* regions_taken() before the look-up */
	/* as far as we know it was registered with us before the look-up, so it is worth keeping */
	bool watched;
};

/*
 * As vma_lookup_unnamed(). Makes one system call, or two if the memory is of another sort than the
 * last time.
 */
int vma_look(struct hmm_mm *mm, uint64_t addr, struct vma_look *look);
/* May the look-up still be right, as far as is known? */
bool vma_look_stands(struct hmm_mm *mm, const struct vma_look *look);

/* What a walk leaves to be checked when it is committed. */
struct range_walked {
	bool again;    /* it has begun again: the given look-up was wrong, or a change collided */
	bool settled;  /* the walk has checked everything itself */
	uint64_t word; /* word of mm_fork_wait() */
	uint64_t forks;
};

/*
 * hmm_range_fault() for a caller that commits the result: without the probe at the end, which the
 * commit makes anyway. look: an earlier look-up for range->start, or NULL.
 */
int range_walk(struct hmm_range *range, uint64_t timeout_ns, const struct vma_look *look,
	       struct range_walked *walked);
/*
 * Called in the commit section: is the walk's result still right? 0: it is; -EBUSY: it is not;
 * -EAGAIN: not known yet, as the sequence has changed or a change is in flight.
 */
int range_walk_stands(const struct hmm_range *range, const struct range_walked *walked);

#endif
