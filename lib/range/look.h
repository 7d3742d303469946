/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What else a fault need not ask the kernel, where its caller knows. Each question is a system
 * call.
 *
 * The mapping. To choose a chunk and to populate it an older look-up will do, since the entries are
 * not made from it: when they are read the mapping is looked up again and must be what the older
 * one says, else the attempt starts over with one of its own. And only a yes is taken from it; that
 * memory is not there, or not permitted, is found by asking.
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
 * It is kept no longer than the regions stay registered that were so when it was made: what ends
 * one raises an event, the pump takes the region back, and regions_taken() moves. That is not
 * needed for what is said here, and spares attempts.
 *
 * Whether anything is in flight. A walk ends with a probe, and its commit with another one. Of the
 * two the later proves more: nothing that took effect before it was overlooked. So who commits what
 * he walks needs but that one.
 */
#ifndef LIB_RANGE_LOOK_H
#define LIB_RANGE_LOOK_H

#include "space/space.h"

#include <hmm/range.h>

struct vma_look {
	struct hmm_vma vma;
	uint64_t taken; /* regions_taken() before */
	bool watched;   /* it was registered with us before, as far as we know: worth being kept */
};

/*
 * As vma_lookup_unnamed(): one system call, two where what is mapped is of another sort than the
 * last time.
 */
int vma_look(struct hmm_mm *mm, uint64_t addr, struct vma_look *look);
/* Is nothing known against it? */
bool vma_look_stands(struct hmm_mm *mm, const struct vma_look *look);

/* What a walk leaves to be looked at when it is committed. */
struct range_walked {
	bool again;    /* it started over: what it was given did not do, or there was a collision */
	bool settled;  /* it is settled already, there is nothing left */
	uint64_t word; /* of mm_fork_wait() */
	uint64_t forks;
};

/*
 * hmm_range_fault() for who commits what it found: without the probe at the end, which the commit
 * makes anyway. look: an earlier look-up for range->start, or NULL.
 */
int range_walk(struct hmm_range *range, uint64_t timeout_ns, const struct vma_look *look,
	       struct range_walked *walked);
/*
 * In the commit section: 0 it stands; -EBUSY it never will; -EAGAIN not while the sequence moves,
 * or something is in flight.
 */
int range_walk_stands(const struct hmm_range *range, const struct range_walked *walked);

#endif
