/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What libhmm-preload.so and the library share. The library looks for the preload object when a
 * space is attached. The object never looks for the library: a look-up that fails allocates, and
 * the object may have been called by the program's allocator.
 */
#ifndef LIB_MM_PRELOAD_H
#define LIB_MM_PRELOAD_H

#include <hmm/mm.h>

/* hmm_mm_note(), hmm_mm_note_file() and hmm_mm_note_writeback() of the library that joins. */
struct preload_library {
	int (*note)(struct hmm_mm *, enum hmm_note, uint64_t, uint64_t);
	int (*note_file)(struct hmm_mm *, int);
	int (*note_writeback)(struct hmm_mm *, int);
};

/*
 * From now on the object calls this library. In a forked child it calls none before one has joined
 * there.
 */
void hmm_preload_join(const struct preload_library *library) __attribute__((weak));
/* The library is being unloaded, so the object no longer calls it. */
void hmm_preload_leave(const struct preload_library *library) __attribute__((weak));

#endif
