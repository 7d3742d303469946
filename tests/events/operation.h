/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* operation: what a program can do to its memory, one function a row of the coherence table. */
#ifndef TESTS_EVENTS_OPERATION_H
#define TESTS_EVENTS_OPERATION_H

#include <hmm/coherence.h>
#include "memory.h"

struct operation {
	/*
	 * Before the page is held, for reading only then: makes it one that the operation changes.
	 * 0; -ENOSYS. NULL: nothing to do, and the page is held for writing.
	 */
	int (*prepare)(struct memory *m);
	/*
	 * Done to the page at *offset (set to another one if the operation needs that). 0; -ENOSYS:
	 * this kernel or host does not have it; -errno: refused for this kind.
	 */
	int (*run)(struct memory *m, size_t *offset);
	/* Is what the program sees at the page other than before? */
	bool changes;
	int note; /* enum hmm_note to tell, -1: hmm_mm_note_file(), -2: hmm_mm_note_writeback() */
	enum memory_kind only; /* memory of this kind is needed; MEMORY_NR: any */
};

extern const struct operation operations[HMM_OP_NR];

#endif
