/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Regions: what is registered with the provider. region.c has the tree of them, register.c and
 * unregister.c talk to the provider, ensure.c registers for faults, owner.c asks the kernel whether
 * a range is still registered with us.
 */
#ifndef LIB_WATCH_REGION_H
#define LIB_WATCH_REGION_H

#include "space/space.h"

/* ---- ensure.c, for faults ----------------------------------------------------------------- */

/*
 * Makes sure that [start, end), which lies inside vma, is registered; invalidates it first (rule
 * 3). Cheap when it is registered already. 0; -EOPNOTSUPP: memory of this kind cannot be registered
 * (its entries become TRANSIENT); -ENOSPC: the budget is used up; -EAGAIN: the VMA has changed, so
 * the caller looks it up again; -ETIME.
 */
int region_ensure(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t start, uint64_t end,
		  uint64_t deadline);
void regions_fini(struct hmm_mm *mm);

/* ---- owner.c: what the kernel says -------------------------------------------------------- */

/*
 * Does the tree say more than a scan of the page table does? A scan says what is registered only
 * where that is done for asynchronous write-protection.
 */
static inline bool region_needs_asking(struct hmm_mm *mm)
{
	return mm_registers(mm) && !(mm_pagemap(mm)->scan && mm_wp_async(mm));
}
/*
 * For a fault where region_needs_asking(): was all of [start, end), which lies in `vma`, registered
 * at some instant of this call? 1; 0; -ETIME; -ESRCH; -ENOMEM; other errors are a seccomp filter's.
 * Waits while a change is in flight, so the caller has no lock. Makes a system call for every
 * 2 MiB.
 */
int region_ask(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t start, uint64_t end,
	       uint64_t deadline);

/*
 * Is the VMA at `start` registered with us, and do we know it to be registered up to `end`? *vma
 * becomes that VMA. `around` is the mapping (lib/files) that was remembered there. False, too, when
 * the pump is at work. Makes three system calls: to ask whether some userfaultfd has the VMA, for
 * the VMA, and to register it again, which fails if it is not ours. Without asynchronous
 * write-protection a file's mapping cannot be registered, and stands if it is there.
 */
bool region_stands(struct hmm_mm *mm, uint64_t start, uint64_t end, const struct itree_node *around,
		   struct hmm_vma *vma);
/* Is [start, end) registered as far as we know? False, too, when the pump is at work. */
bool region_stands_known(struct hmm_mm *mm, uint64_t start, uint64_t end);

/* ---- region.c: the tree ------------------------------------------------------------------- */

/*
 * Forgets the regions of [start, end), as the kernel says that it is not registered. 0; -ETIME.
 */
int region_deny(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t deadline);
/* Is all of [start, end) registered as far as we know? 1; 0; -ETIME. */
int region_covers(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t deadline);
/*
 * Is any part of it? 1; 0; -EBUSY: the lock is busy. This does not wait for it, as the thread that
 * holds it may wait for a driver.
 */
int region_any(struct hmm_mm *mm, uint64_t start, uint64_t end);
/*
 * How often a region was removed. While this number stays the same all that was registered still
 * is.
 */
uint64_t regions_taken(const struct hmm_mm *mm);

/* The caller holds region_lock in all of these. */
void region_forget(struct hmm_mm *mm, uint64_t start, uint64_t end);
/* Remembers [start, end) and joins it with the regions beside it to one. 0; -ENOMEM. */
int region_remember(struct hmm_mm *mm, uint64_t start, uint64_t end, uint32_t cost);
/*
 * Does the budget allow one more region? A region that joins others costs no more than the dearest
 * of them.
 */
bool region_affordable(struct hmm_mm *mm, uint64_t start, uint64_t end, uint32_t cost);
/* The first address in [start, end) that no region covers; end if none. */
uint64_t region_first_gap(struct hmm_mm *mm, uint64_t start, uint64_t end);

/* ---- register.c, unregister.c: the caller holds region_lock ------------------------------- */

/* With HMM_MM_FILE_CHUNKS a file's mapping is registered in chunks of this size. */
#define REGION_FILE_CHUNK (2ULL << 20)

/*
 * Registers and remembers [start, end), of which no part is registered and which lies in `vma` as
 * it was looked up. Invalidates it first. Errors as region_ensure().
 */
int watch_gap(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t start, uint64_t end,
	      uint64_t deadline);
/*
 * Registers the VMAs beside `vma` that one mremap of the program may move together with it, as far
 * as the budget allows.
 */
void watch_neighbours(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t deadline);
/* The VMA is trapped now, and those of them that are registered are, too. The caller moves. */
void watch_trap_neighbours(struct hmm_mm *mm, const struct hmm_vma *vma);
/*
 * [start, end) may have been registered by mistake: unregisters the library's own memory in it, and
 * with `none` also memory that nobody can access, which may be about to become the library's.
 * Returns how many VMAs these were.
 */
int watch_take_back(struct hmm_mm *mm, uint64_t start, uint64_t end, bool none);
/* Is such a VMA registered as a whole? Otherwise it is registered in chunks. */
bool watch_is_whole(const struct hmm_mm *mm, const struct hmm_vma *vma);
/* Unregisters all of [start, end) that is registered with us. */
void unwatch(struct hmm_mm *mm, uint64_t start, uint64_t end);

/* ---- resident.c --------------------------------------------------------------------------- */

/*
 * The caller does not hold region_lock, as this touches the mapping. Maps the pages of a file that
 * are in the page cache: once the mapping is registered each fault of the CPU brings in one page
 * only.
 */
void map_resident(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t touched,
		  uint64_t deadline);
/*
 * The mapping is being registered: forgets the work of map_resident(). The caller holds
 * region_lock.
 */
void map_resident_done(struct hmm_mm *mm, const struct hmm_vma *vma);

#endif
