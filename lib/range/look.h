/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * One look-up of a VMA for all that a fault asks of it: which chunk, of which kind, is it registered, and is it at the
 * end what it was at the beginning? Each look-up is a system call. What else sees that the VMA was replaced:
 *
 *	fault				program				what sees it
 *	regions_taken is read
 *	registered? yes
 *	looked up
 *					munmap, mremap, MAP_FIXED	an event: the pump takes the region
 *									back, regions_taken moves
 *	populates
 *	regions_taken is read again, with the notifier's sequence
 *					the same			the notifier's sequence moves, or
 *									the probe finds it in flight
 *	scans: all of it registered
 *	the probe
 *
 * What replaces it without an event (shmat with SHM_REMAP, remap_file_pages) is registered with nobody. The scan, which
 * is made for the entries anyway, says so of each page; to register it somebody must take the region back first.
 *
 * The permission alone changes without either of them. For writing, populating is the question: it succeeded after the
 * look-up. Else mprotect came after the fault had begun, and what is said was true then; whoever looks later (HMM_CHECK_VMA,
 * a job's submission) compares with the permission that was looked up, and finds less.
 *
 * Where one of these does not hold (the region is new, or not registered; entries may not be cached; the kernel has no
 * scan) the VMA is looked up again at the end.
 */
#ifndef LIB_RANGE_LOOK_H
#define LIB_RANGE_LOOK_H

#include "space/space.h"

#include <hmm/range.h>

struct vma_look {
	struct hmm_vma vma;
	uint64_t taken; /* regions_taken() before it was asked whether it is registered */
	bool watched;   /* it was registered with us before it was looked up, as far as we know */
};

/* As vma_lookup_unnamed(): one system call, two where what is mapped is of another sort than the last time. */
int vma_look(struct hmm_mm *mm, uint64_t addr, struct vma_look *look);
/* Is nothing known against it, and would something be? Ask after the notifier's sequence is read. */
bool vma_look_stands(struct hmm_mm *mm, const struct vma_look *look);

/* What a walk leaves to be looked at when it is committed. */
struct range_walked {
	bool settled;  /* it is settled already, there is nothing left */
	uint64_t word; /* of mm_fork_wait() */
	uint64_t forks;
};

/*
 * hmm_range_fault() for who commits what it found: without the probe at the end, which the commit makes anyway. look: an
 * earlier look-up for range->start, or NULL.
 */
int range_walk(struct hmm_range *range, uint64_t timeout_ns, const struct vma_look *look,
	       struct range_walked *walked);
/* In the commit section: 0 it stands; -EBUSY it never will; -EAGAIN not while the sequence moves, or something is in flight. */
int range_walk_stands(const struct hmm_range *range, const struct range_walked *walked);

#endif
