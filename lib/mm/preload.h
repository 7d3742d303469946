/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What the preloaded objects, libhmm-preload.so and libhmm-debug.so, and the library share. The
 * library looks for an object when a space is attached. An object never looks for the library: a
 * look-up that fails allocates, and the object may have been called by the program's allocator.
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

/* ---- libhmm-debug.so ---------------------------------------------------------------------- */

enum debug_memory {
	DEBUG_MEMORY_TAKEN, /* allocated */
	DEBUG_MEMORY_GIVEN, /* freed, unmapped, moved or discarded */
};

struct debug_library {
	/*
	 * Called before the program's thread does that to [start, end). Allocates nothing and does
	 * not touch errno.
	 */
	void (*call)(const char *function, enum debug_memory what, uint64_t start, uint64_t end,
		     const void *site);
};

void hmm_debug_join(const struct debug_library *library) __attribute__((weak));
void hmm_debug_leave(void) __attribute__((weak));

#endif
