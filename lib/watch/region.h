/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What region.c, which knows what is registered, and watch.c, which registers, share. region_lock is held in all. */
#ifndef LIB_MM_REGION_H
#define LIB_MM_REGION_H

#include "space/space.h"

#define REGION_FILE_CHUNK (2ULL << 20)

/* One region where it and its neighbours were; the neighbours' span is known to be registered. */
int region_remember(struct hmm_mm *mm, uint64_t start, uint64_t end, uint32_t cost);
/* Does one more region fit the budget? What joins a region costs no more than that does. */
bool region_affordable(struct hmm_mm *mm, uint64_t start, uint64_t end, uint32_t cost);
/* The first address in [start, end) that no region covers; end if none. */
uint64_t region_first_gap(struct hmm_mm *mm, uint64_t start, uint64_t end);

/*
 * watch.c. Registers [start, end), of which nothing is, and remembers it: it lies in a VMA that was looked up. Kills
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

/*
 * resident.c. Without region_lock, as it touches the mapping: maps what of a file is in the page cache, since from its
 * registration on the CPU's faults bring in one page each.
 */
void map_resident(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t touched,
		  uint64_t deadline);
/* With region_lock: it is registered. */
void map_resident_done(struct hmm_mm *mm, const struct hmm_vma *vma);

#endif
