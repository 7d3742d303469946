/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Mirrored files and their mappings: the functions for the layers above. */
#ifndef LIB_FILES_FILES_H
#define LIB_FILES_FILES_H

#include "space/space.h"

int files_init(struct hmm_mm *mm);
void files_fini(struct hmm_mm *mm);
/* How many descriptors are kept open for files. */
uint32_t files_descriptors(void);

/*
 * A fault calls this after it has registered a range and before it takes the snapshot: remembers
 * what is mapped there and, of a file, its size and change time. Invalidates mappings that were
 * remembered there and no longer hold. Returns 0; -ENOMEM; -ETIME; -EBUSY: the mapping has changed;
 * -EOPNOTSUPP: changes of the file are unseen, as no descriptor of it can be had or another machine
 * keeps its times.
 */
int file_track(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t deadline);
/*
 * A fault for writing of a shared file calls these before and after: such a fault changes the
 * file's times, and between the two calls a changed time does not count as a change of the file.
 * Ranges that cannot be invalidated before the deadline are refused at use meanwhile, and the next
 * call of this folder invalidates them.
 */
void file_write_begin(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t deadline);
void file_write_end(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t deadline);
/*
 * 1: the files are unchanged since file_track(); 0: one has changed; -ENOENT: nothing is tracked
 * there. Invalidates nothing.
 */
int file_unchanged(struct hmm_mm *mm, uint64_t start, uint64_t end);
/*
 * Will a change of the file be seen, whatever part of the range it is about? Makes no system call.
 */
bool file_watched(struct hmm_mm *mm, uint64_t start, uint64_t end);
/*
 * Are the mappings that file_track() remembered still in the table? An invalidation may have
 * removed them since. Then the next change of the file would not be known to be about the range.
 */
bool file_tracked(struct hmm_mm *mm, uint64_t start, uint64_t end);
/* Will changes of the memory behind the mapping be seen as changes of this mapping? */
bool file_told_of(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t start, uint64_t end);

/* close.c. The pump notes that a range was unmapped. */
void files_unmapped(struct hmm_mm *mm, uint64_t start, uint64_t end);
/*
 * Closes the files that had mappings in the noted ranges and have none any more. False: a lock was
 * busy, so some are left for another call.
 */
bool files_closed(struct hmm_mm *mm);

/*
 * mapping.c. Is what file_track() remembered still mapped, with no less permission? Makes a system
 * call a VMA.
 */
bool mapping_stands(struct hmm_mm *mm, uint64_t start, uint64_t end);
/* Is any part of a System V segment known? */
bool mapping_any_sysv(struct hmm_mm *mm);
/*
 * Is part of the range System V shared memory? No event tells of its detaching. The question is
 * cheap in a space without such memory.
 */
bool mapping_has_sysv(struct hmm_mm *mm, uint64_t start, uint64_t end);
/*
 * stale.c. Have mappings been replaced whose older translations are not invalidated yet? A use asks
 * this after its checks and before it looks at the sequence.
 */
bool stale_undelivered(struct hmm_mm *mm);
/* Invalidates those that nobody is about to invalidate. 0; -ETIME. */
int files_tell(struct hmm_mm *mm, uint64_t deadline);

#endif
