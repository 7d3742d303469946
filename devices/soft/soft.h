/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef DEVICES_SOFT_H
#define DEVICES_SOFT_H

#include <stdatomic.h>
#include <hmm/ptable.h>
#include <hmm/software.h>

struct soft {
	struct hmm_ptable *table;
	bool tlb;
	_Atomic uint64_t flush_gen; /* grows with the gate closed: TLBs must be emptied */
	_Atomic uint64_t pages_4k, pages_2m, pages_1g, pages_other, invalidations, invalidate_calls;
};

/* tlb.c: the state of an engine */
extern const uint32_t tlb_size;
void tlb_enter(void *soft, void *tlb);
int tlb_translate(void *soft, void *tlb, uint64_t va, size_t len, int prot, void **host);
void tlb_stats(const void *tlb, struct hmm_device_stats *stats);

#endif
