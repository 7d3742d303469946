/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What is registered. region.c keeps the books, unregister.c and register.c talk to the provider, ensure.c serves
 * faults, owner.c asks whether it still holds.
 */
#ifndef LIB_WATCH_REGION_H
#define LIB_WATCH_REGION_H

#include "space/space.h"

/* ---- ensure.c, for faults --------------------------------------------------------------------------- */

/*
 * Makes sure that [start, end), which lies inside vma, is registered (rule 3: kill first). Cheap when it is already.
 * 0; -EOPNOTSUPP: this kind cannot be (entries become TRANSIENT); -ENOSPC: budget; -EAGAIN: the VMA changed, look
 * again; -ETIME.
 */
int region_ensure(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t start, uint64_t end,
		  uint64_t deadline);
void regions_fini(struct hmm_mm *mm);

/* ---- owner.c, for checks ---------------------------------------------------------------------------- */

/*
 * Is the VMA at start registered with us, and known to be up to end? *vma: it. All of `around` was one mapping. False,
 * too, when the pump is at work. One system call more than to look at the page table, which knows only that somebody
 * registered it, and at the VMA.
 */
bool region_stands(struct hmm_mm *mm, uint64_t start, uint64_t end, const struct itree_node *around,
		   struct hmm_vma *vma);
/* Is it, as far as we know? False, too, when the pump is at work. */
bool region_stands_known(struct hmm_mm *mm, uint64_t start, uint64_t end);

/* ---- region.c: the books ------------------------------------------------------------------------------ */

/* The page table says that [start, end) is not registered, whatever we know: believe that. 0; -ETIME. */
int region_deny(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t deadline);
/* Is the whole of it registered, as far as we know? 1; 0; -ETIME. */
int region_covers(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t deadline);
/* Is any part of it? 1; 0; -EBUSY, as it does not wait: whoever holds the lock may wait for a driver. */
int region_any(struct hmm_mm *mm, uint64_t start, uint64_t end);
/*
 * How often regions were taken back: what was registered then has been ever since, unless this has
 * moved.
 */
uint64_t regions_taken(const struct hmm_mm *mm);

/* region_lock is held in all of these. */
void region_forget(struct hmm_mm *mm, uint64_t start, uint64_t end);
/* One region where it and its neighbours were; the neighbours' range is known to be registered. 0; -ENOMEM. */
int region_remember(struct hmm_mm *mm, uint64_t start, uint64_t end, uint32_t cost);
/* Does one more region fit the budget? What joins a region costs no more than that does. */
bool region_affordable(struct hmm_mm *mm, uint64_t start, uint64_t end, uint32_t cost);
/* The first address in [start, end) that no region covers; end if none. */
uint64_t region_first_gap(struct hmm_mm *mm, uint64_t start, uint64_t end);

/* ---- register.c, unregister.c. region_lock is held ------------------------------------------------------ */

/* Parts of a file's mapping are registered by this much, where it is not registered as a whole. */
#define REGION_FILE_CHUNK (2ULL << 20)

/*
 * Registers [start, end), of which nothing is, and remembers it: it lies in a VMA that was looked up. Kills
 * first. Errors as region_ensure().
 */
int watch_gap(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t start, uint64_t end,
	      uint64_t deadline);
/* Registers what lies beside the VMA and moves with it in one call of the program, as far as the budget allows. */
void watch_neighbours(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t deadline);
/*
 * Registered by mistake, whatever is there now: unregisters what is the library's, and if `none` what nobody can access,
 * as it may be about to be. How many VMAs.
 */
int watch_take_back(struct hmm_mm *mm, uint64_t start, uint64_t end, bool none);
/* Is it registered in whole VMAs? Else by chunks. */
bool watch_is_whole(const struct hmm_mm *mm, const struct hmm_vma *vma);
/* Nothing of the range is registered any more. */
void unwatch(struct hmm_mm *mm, uint64_t start, uint64_t end);

/* ---- resident.c --------------------------------------------------------------------------------------- */

/*
 * Without region_lock, as it touches the mapping: maps what of a file is in the page cache, since from its
 * registration on the CPU's faults bring in one page each.
 */
void map_resident(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t touched,
		  uint64_t deadline);
/* With region_lock: it is registered. */
void map_resident_done(struct hmm_mm *mm, const struct hmm_vma *vma);

#endif
