/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Mirrored files and what is mapped of them, as the layers above see it. */
#ifndef LIB_FILES_FILES_H
#define LIB_FILES_FILES_H

#include "space/space.h"

int files_init(struct hmm_mm *mm);
void files_fini(struct hmm_mm *mm);
/* How many descriptors are kept open for files. */
uint32_t files_descriptors(void);

/*
 * A range is being faulted: remember what is mapped there and, of a file, its size and change time.
 * After registration, before the snapshot. What was remembered and no longer holds is invalidated.
 * 0; -ENOMEM; -ETIME; -EBUSY the mapping has changed; -EOPNOTSUPP no descriptor of the file can be
 * had, or its clock is not ours: changes are unseen.
 */
int file_track(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t deadline);
/*
 * Around faults for writing of a shared file: they change its times, which then is no news. What is
 * not told when the deadline passes stands no longer, and the next call tells it.
 */
void file_write_begin(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t deadline);
void file_write_end(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t deadline);
/* 1: unchanged since tracked; 0: changed; -ENOENT not tracked. Invalidates nothing. */
int file_unchanged(struct hmm_mm *mm, uint64_t start, uint64_t end);
/* Will a change of the file be seen, all over the range? No system call. */
bool file_watched(struct hmm_mm *mm, uint64_t start, uint64_t end);
/*
 * Are the mappings that file_track() put there still? A change that was told in between took them
 * away, and the next one would not be known to be about the range.
 */
bool file_tracked(struct hmm_mm *mm, uint64_t start, uint64_t end);

/* close.c. Notes that a range was unmapped; for the pump. */
void files_unmapped(struct hmm_mm *mm, uint64_t start, uint64_t end);
/* Closes the files that nothing maps any more in what was noted. False: not now, come again. */
bool files_closed(struct hmm_mm *mm);

/* mapping.c. Is what was tracked still mapped, with no less permission? One system call a VMA. */
bool mapping_stands(struct hmm_mm *mm, uint64_t start, uint64_t end);
/*
 * Is part of it System V shared memory, whose detaching nothing tells of? Cheap where there is
 * none.
 */
bool mapping_has_sysv(struct hmm_mm *mm, uint64_t start, uint64_t end);
/*
 * stale.c. Have mappings been replaced whose older translations are not invalidated yet? Ask after
 * the checks, before the sequence.
 */
bool stale_undelivered(struct hmm_mm *mm);

#endif
