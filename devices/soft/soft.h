/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef DEVICES_SOFT_H
#define DEVICES_SOFT_H

#include "ptable/ptable.h"
#include "engines/runner.h"

struct soft {
	struct runner *runner; /* first: see runner_of() */
	struct hmm_ptable *table;
	bool tlb;
	_Atomic uint64_t flush_gen; /* grows with the gate closed: TLBs must be emptied */
	_Atomic uint64_t pages_4k, pages_2m, pages_1g, pages_other, invalidations, invalidate_calls;
};

/* tlb.c */
int tlb_create(struct runner *r, struct engine *e);
void tlb_destroy(struct runner *r, struct engine *e);
void tlb_enter(struct runner *r, struct engine *e);
int tlb_translate(struct runner *r, struct engine *e, uint64_t va, size_t len, int prot,
		  void **host);

static inline struct soft *soft_of(struct runner *r)
{
	return hmm_device_priv(r->dev);
}

#endif
